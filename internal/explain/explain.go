// Package explain is the book of what can go wrong: for each code of a finding,
// and for each symptom that people search by, its cause and its remedy.
package explain

// Entry explains one code.
type Entry struct {
	Code    string
	Title   string
	Symptom string
	Cause   string
	Remedy  string
	// Aliases are texts by which people look for it: "exec format error".
	Aliases []string
	// Docs are addresses to read on.
	Docs []string
}

// Lookup finds the entry of a code, or of a symptom's text.
func Lookup(query string) (Entry, bool) { return Entry{}, false }

// List returns all entries, by code.
func List() []Entry { return nil }

// Suggest returns the codes that a misspelt query may have meant, best first.
func Suggest(query string) []string { return nil }
