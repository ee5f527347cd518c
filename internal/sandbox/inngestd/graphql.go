package inngestd

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator"
)

// schema.graphqls contains the part of the server's schema that the double
// supports. The fields are in the server's order, because __type shows it. The
// library that the real server uses does the parsing and validation, so the
// error messages are the same.
//
//go:embed schema.graphqls
var schemaSource string

func loadSchema(without []string) *ast.Schema {
	schema := gqlparser.MustLoadSchema(&ast.Source{Name: "schema.graphqls", Input: schemaSource})
	for _, field := range without {
		typ, name, _ := strings.Cut(field, ".")
		def := schema.Types[typ]
		def.Fields = slices.DeleteFunc(def.Fields, func(f *ast.FieldDefinition) bool { return f.Name == name })
	}
	return schema
}

// object is a value with fields. A field may be a resolver.
type object map[string]any

// resolver is called only if a query selects the field.
type resolver func(args map[string]any) (any, error)

type gqlRequest struct {
	Query         string         `json:"query"`
	OperationName string         `json:"operationName"`
	Variables     map[string]any `json:"variables"`
}

func (s *Server) graphQL(w http.ResponseWriter, r *http.Request) {
	var in gqlRequest
	dec := json.NewDecoder(r.Body)
	dec.UseNumber()
	if err := dec.Decode(&in); err != nil {
		gqlErrors(w, http.StatusBadRequest, gqlerror.List{gqlerror.Errorf("json request body could not be decoded: %s", err)})
		return
	}
	doc, err := gqlparser.LoadQueryWithRules(s.schema, in.Query, nil)
	if err != nil {
		gqlErrors(w, http.StatusUnprocessableEntity, withCode(err))
		return
	}
	op := doc.Operations.ForName(in.OperationName)
	if op == nil {
		gqlErrors(w, http.StatusUnprocessableEntity, withCode(gqlerror.List{gqlerror.Errorf("operation %s not found", in.OperationName)}))
		return
	}
	vars, verr := validator.VariableValues(s.schema, op, in.Variables)
	if verr != nil {
		gqlErrors(w, http.StatusUnprocessableEntity, withCode(gqlerror.List{asGQL(verr)}))
		return
	}
	root := s.queries()
	if op.Operation == ast.Mutation {
		root = s.mutations()
	}
	x := &execution{vars: vars, schema: s.schema}
	data, ok := x.object(root, op.SelectionSet, nil)
	w.Header().Set("Content-Type", "application/json")
	out := struct {
		Errors gqlerror.List   `json:"errors,omitempty"`
		Data   json.RawMessage `json:"data"`
	}{x.errors, json.RawMessage("null")}
	if ok {
		out.Data = data
	}
	raw, _ := json.Marshal(out) // Data is already JSON
	_, _ = w.Write(raw)
}

func asGQL(err error) *gqlerror.Error {
	if g, ok := errors.AsType[*gqlerror.Error](err); ok {
		return g
	}
	return gqlerror.Wrap(err)
}

// withCode adds the code that gqlgen adds to a refused query.
func withCode(list gqlerror.List) gqlerror.List {
	for _, e := range list {
		code := "GRAPHQL_VALIDATION_FAILED"
		if e.Rule == "" {
			code = "GRAPHQL_PARSE_FAILED"
		}
		e.Extensions = map[string]any{"code": code}
	}
	return list
}

func gqlErrors(w http.ResponseWriter, status int, list gqlerror.List) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	raw, _ := json.Marshal(struct {
		Errors gqlerror.List `json:"errors"`
		Data   any           `json:"data"`
	}{list, nil})
	_, _ = w.Write(raw)
}

// execution answers one operation, with the fields in the order of the query.
type execution struct {
	vars   map[string]any
	schema *ast.Schema
	errors gqlerror.List
}

// object applies a selection to o. ok is false if a field that cannot be null
// is null; the parent then becomes null.
func (x *execution) object(o object, sel ast.SelectionSet, path ast.Path) (json.RawMessage, bool) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, f := range x.fields(sel) {
		if i > 0 {
			b.WriteByte(',')
		}
		at := append(slices.Clone(path), ast.PathName(f.Alias))
		v, ok := x.field(o, f, at)
		if !ok {
			return nil, false
		}
		name, _ := json.Marshal(f.Alias)
		b.Write(name)
		b.WriteByte(':')
		b.Write(v)
	}
	b.WriteByte('}')
	return b.Bytes(), true
}

func (x *execution) fields(sel ast.SelectionSet) []*ast.Field {
	var all []*ast.Field
	for _, one := range sel {
		switch one := one.(type) {
		case *ast.Field:
			all = append(all, one)
		case *ast.InlineFragment:
			all = append(all, x.fields(one.SelectionSet)...)
		case *ast.FragmentSpread:
			all = append(all, x.fields(one.Definition.SelectionSet)...)
		}
	}
	return all
}

func (x *execution) field(o object, f *ast.Field, path ast.Path) (json.RawMessage, bool) {
	switch f.Name {
	case "__typename":
		raw, _ := json.Marshal(f.ObjectDefinition.Name)
		return raw, true
	case "__type":
		name, _ := f.ArgumentMap(x.vars)["name"].(string)
		return x.value(x.introspect(name), f.SelectionSet, path, false)
	}
	v, known := o[f.Name]
	if !known {
		x.fail(path, fmt.Errorf("the Inngest double does not support %s", f.Name))
		return json.RawMessage("null"), !f.Definition.Type.NonNull
	}
	if resolve, ok := v.(resolver); ok {
		var err error
		if v, err = resolve(f.ArgumentMap(x.vars)); err != nil {
			x.fail(path, err)
			return json.RawMessage("null"), !f.Definition.Type.NonNull
		}
	}
	return x.value(v, f.SelectionSet, path, f.Definition.Type.NonNull)
}

func (x *execution) fail(path ast.Path, err error) {
	x.errors = append(x.errors, &gqlerror.Error{Message: err.Error(), Path: path})
}

func (x *execution) value(v any, sel ast.SelectionSet, path ast.Path, nonNull bool) (json.RawMessage, bool) {
	switch v := v.(type) {
	case nil:
		return json.RawMessage("null"), !nonNull
	case object:
		raw, ok := x.object(v, sel, path)
		if !ok {
			return json.RawMessage("null"), !nonNull
		}
		return raw, true
	case []object:
		var b bytes.Buffer
		b.WriteByte('[')
		for i, one := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			raw, ok := x.object(one, sel, append(slices.Clone(path), ast.PathIndex(i)))
			if !ok {
				return json.RawMessage("null"), !nonNull
			}
			b.Write(raw)
		}
		b.WriteByte(']')
		return b.Bytes(), true
	}
	raw, err := json.Marshal(v)
	if err != nil {
		x.fail(path, err)
		return json.RawMessage("null"), !nonNull
	}
	return raw, true
}

func (x *execution) introspect(name string) any {
	def := x.schema.Types[name]
	if def == nil {
		return nil
	}
	fields := []object{}
	for _, f := range def.Fields {
		if !strings.HasPrefix(f.Name, "__") {
			fields = append(fields, object{"name": f.Name})
		}
	}
	return object{"name": def.Name, "kind": string(def.Kind), "fields": fields}
}
