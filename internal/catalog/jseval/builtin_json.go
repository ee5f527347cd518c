package jseval

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
)

func jsonStringify(c *Call) Value {
	plain, ok := c.M.plain(c.Arg(0), 0)
	if !ok || len(c.Args) > 1 {
		u := c.Unknown("it is the JSON of what is unknown")
		u.Primitive = true
		return u
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(plain); err != nil {
		return c.Unknown("it has no JSON")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// ordered is an object whose members keep their order.
type ordered struct {
	keys []string
	vals []any
}

func (o ordered) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for i, k := range o.keys {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := json.Marshal(k)
		if err != nil {
			return nil, err
		}
		val, err := json.Marshal(o.vals[i])
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, key...), ':'), val...)
	}
	return append(b, '}'), nil
}

func (m *Machine) plain(v Value, depth int) (any, bool) {
	m.step()
	if depth > 64 {
		return nil, false
	}
	switch v := v.(type) {
	case string, bool:
		return v, true
	case float64:
		return json.Number(formatNumber(v)), !math.IsNaN(v) && !math.IsInf(v, 0)
	case Null:
		return nil, true
	case *Array:
		if v.Rest != nil {
			return nil, false
		}
		out := []any{}
		for _, e := range v.Elems {
			p, ok := m.plain(e, depth+1)
			if !ok {
				return nil, false
			}
			out = append(out, p)
		}
		return out, true
	case *Object:
		if v.Rest != nil || v.Host != nil {
			return nil, false
		}
		out := ordered{}
		for _, k := range v.Keys() {
			val := m.get(v, k, Place{})
			switch val.(type) {
			case Undefined, *Func:
				continue
			}
			p, ok := m.plain(val, depth+1)
			if !ok {
				return nil, false
			}
			out.keys, out.vals = append(out.keys, k), append(out.vals, p)
		}
		return out, true
	}
	return nil, false
}

func jsonParse(c *Call) Value {
	s, ok := c.Arg(0).(string)
	if !ok {
		return c.Unknown("it is parsed from what is unknown")
	}
	dec := json.NewDecoder(strings.NewReader(s))
	dec.UseNumber()
	v, err := fromJSON(dec, 0)
	if err != nil {
		return c.Unknown("it is parsed from what is no JSON")
	}
	return v
}

func fromJSON(dec *json.Decoder, depth int) (Value, error) {
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	if depth > 200 {
		return nil, errors.New("it nests too deeply")
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			a := &Array{}
			for dec.More() {
				v, err := fromJSON(dec, depth+1)
				if err != nil {
					return nil, err
				}
				a.Elems = append(a.Elems, v)
			}
			_, err := dec.Token()
			return a, err
		}
		o := &Object{}
		for dec.More() {
			k, err := dec.Token()
			if err != nil {
				return nil, err
			}
			v, err := fromJSON(dec, depth+1)
			if err != nil {
				return nil, err
			}
			key, _ := k.(string)
			o.set(key, v)
		}
		_, err := dec.Token()
		return o, err
	case json.Number:
		return parseNumber(t.String()), nil
	case string:
		return t, nil
	case bool:
		return t, nil
	}
	return Null{}, nil
}
