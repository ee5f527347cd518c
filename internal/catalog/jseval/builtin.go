package jseval

// methods are the methods of a kind of value.
type methods map[string]Native

func (t methods) method(name string) Value {
	if n, ok := t[name]; ok {
		return &Func{Name: name, native: n}
	}
	return Undefined{}
}

// The methods of the language's own kinds. They refer to each other through
// the Machine, so that they cannot be initialised where they are declared;
// nothing changes them afterwards.
var arrayMethods, stringMethods, numberMethods, regExpMethods, objectMethods, funcMethods, collectionMethods, promiseMethods methods

func init() {
	arrayMethods = makeArrayMethods()
	stringMethods = makeStringMethods()
	numberMethods = makeNumberMethods()
	regExpMethods = makeRegExpMethods()
	objectMethods = makeObjectMethods()
	funcMethods = makeFuncMethods()
	collectionMethods = makeCollectionMethods()
	promiseMethods = makePromiseMethods()
}
