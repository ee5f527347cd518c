package cli

import (
	"encoding"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// fillEmpty replaces nil by empty in every required list and map of a document, so that a
// program finds [] instead of null.
func fillEmpty(doc any) { fillValue(reflect.ValueOf(doc)) }

func fillValue(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			fillValue(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			fillValue(v.Index(i))
		}
	case reflect.Struct:
		if printsItself(v.Type()) {
			return
		}
		for i := range v.NumField() {
			field, f := v.Type().Field(i), v.Field(i)
			if !f.CanSet() {
				if field.Anonymous && f.Kind() == reflect.Struct {
					fillValue(f)
				}
				continue
			}
			_, optional, skip := jsonName(field)
			if !skip && !optional && f.Kind() == reflect.Slice && f.IsNil() {
				f.Set(reflect.MakeSlice(f.Type(), 0, 0))
			}
			if !skip && !optional && f.Kind() == reflect.Map && f.IsNil() {
				f.Set(reflect.MakeMap(f.Type()))
			}
			fillValue(f)
		}
	}
}

// jsonName returns a field's name in JSON according to encoding/json.
func jsonName(f reflect.StructField) (name string, optional, skip bool) {
	tag := f.Tag.Get("json")
	name, rest, _ := strings.Cut(tag, ",")
	if name == "" {
		name = f.Name
	}
	options := strings.Split(rest, ",")
	return name, slices.Contains(options, "omitempty") || slices.Contains(options, "omitzero"), tag == "-" || !f.IsExported() && !f.Anonymous
}

// printsItself reports whether a type implements its own JSON encoding.
func printsItself(t reflect.Type) bool {
	for _, of := range []reflect.Type{reflect.TypeFor[json.Marshaler](), reflect.TypeFor[encoding.TextMarshaler]()} {
		if t.Implements(of) || reflect.PointerTo(t).Implements(of) {
			return true
		}
	}
	return false
}

// Field is one field of a document.
type Field struct{ Name, Doc string }

// Fields lists the fields of a document, those of its head first.
func Fields(d Document) []Field {
	var all []Field
	eachField(reflect.TypeOf(d).Elem(), func(name string, _ bool, f reflect.StructField) {
		all = append(all, Field{name, f.Tag.Get("doc")})
	})
	return all
}

// eachField visits a struct's fields as encoding/json does: fields of embedded structs
// count as its own, unless it has one of the same name itself. Fields behind an embedded
// pointer are optional, because the pointer may be nil.
func eachField(t reflect.Type, visit func(name string, optional bool, f reflect.StructField)) {
	own := map[string]bool{} // names that hide fields of embedded structs
	for f := range t.Fields() {
		if name, _, skip := jsonName(f); !skip && !embedded(f) {
			own[name] = true
		}
	}
	for f := range t.Fields() {
		name, optional, skip := jsonName(f)
		switch {
		case embedded(f):
			of, pointer := f.Type, f.Type.Kind() == reflect.Pointer
			if pointer {
				of = of.Elem()
			}
			eachField(of, func(name string, optional bool, f reflect.StructField) {
				if !own[name] {
					visit(name, optional || pointer, f)
				}
			})
		case !skip:
			visit(name, optional, f)
		}
	}
}

// embedded reports whether the fields of f are printed as fields of the struct that
// contains it.
func embedded(f reflect.StructField) bool {
	t := f.Type
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return f.Anonymous && f.Tag.Get("json") == "" && t.Kind() == reflect.Struct
}

// Documents maps each command below root that prints documents to an empty one.
func Documents(env *Env, root *cobra.Command) map[string]Document {
	all := map[string]Document{}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		if o, ok := env.outputs[c]; ok {
			all[commandName(env, c)] = o.prototype()
		}
		for _, below := range c.Commands() {
			walk(below)
		}
	}
	walk(root)
	return all
}

// schema is a JSON schema. The fields are in the order in which they are printed.
type schema struct {
	Schema      string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        any                `json:"type,omitempty"`
	Format      string             `json:"format,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Additional  *schema            `json:"additionalProperties,omitempty"`
	Required    []string           `json:"required,omitempty"`
}

// Schema returns the JSON schema (draft 2020-12) of a document.
func Schema(command string, d Document) any {
	s := schemaOf(reflect.TypeOf(d), nil)
	s.Schema, s.Title = "https://json-schema.org/draft/2020-12/schema", "what `"+command+" -o json` prints"
	return s
}

// schemaOf describes a type. within are the structs that contain it: a struct that
// contains itself is described once.
func schemaOf(t reflect.Type, within []reflect.Type) *schema {
	switch t {
	case reflect.TypeFor[time.Time]():
		return &schema{Type: "string", Format: "date-time"}
	case reflect.TypeFor[time.Duration]():
		return &schema{Type: "integer", Description: "nanoseconds"}
	case reflect.TypeFor[pipeline.Severity]():
		return &schema{Type: "string", Enum: []string{"note", "warning", "error"}}
	}
	switch {
	case t.Kind() == reflect.Pointer:
		return schemaOf(t.Elem(), within)
	case t.Implements(reflect.TypeFor[json.Marshaler]()) || reflect.PointerTo(t).Implements(reflect.TypeFor[json.Marshaler]()):
		return &schema{}
	case printsItself(t):
		return &schema{Type: "string"}
	}
	switch t.Kind() {
	case reflect.String:
		return &schema{Type: "string"}
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.Float32, reflect.Float64:
		return &schema{Type: "number"}
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			return &schema{Type: "string"} // base64
		}
		return &schema{Type: "array", Items: schemaOf(t.Elem(), within)}
	case reflect.Map:
		return &schema{Type: "object", Additional: schemaOf(t.Elem(), within)}
	case reflect.Interface:
		return &schema{}
	case reflect.Struct:
		return structSchema(t, within)
	}
	return &schema{Type: "integer"}
}

func structSchema(t reflect.Type, within []reflect.Type) *schema {
	s := &schema{Type: "object"}
	if slices.Contains(within, t) {
		return s
	}
	within = append(slices.Clone(within), t)
	s.Properties = map[string]*schema{}
	eachField(t, func(name string, optional bool, f reflect.StructField) {
		p := schemaOf(f.Type, within)
		if text := f.Tag.Get("doc"); text != "" {
			p.Description = text
		}
		if words := f.Tag.Get("enum"); words != "" {
			p.Enum = strings.Split(words, ",")
		}
		if f.Type.Kind() == reflect.Pointer && !optional {
			p.Type = []any{p.Type, "null"}
		}
		s.Properties[name] = p
		if !optional {
			s.Required = append(s.Required, name)
		}
	})
	return s
}
