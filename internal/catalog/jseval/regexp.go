package jseval

import (
	"regexp"
	"strings"
)

// regExp is a pattern. Go's engine agrees with JavaScript's on the patterns
// that it takes (leftmost-first, without look-around and back references); of
// others nothing is known.
type regExp struct {
	source, flags string
	re            *regexp.Regexp
}

func makeRegExpMethods() methods {
	return methods{
		"test": func(c *Call) Value {
			return onPattern(c, func(r *regExp, s string) Value { return r.re.MatchString(s) })
		},
		"exec": func(c *Call) Value {
			return onPattern(c, func(r *regExp, s string) Value {
				if strings.Contains(r.flags, "g") {
					return c.Unknown("it continues from the last match")
				}
				return matchResult(r.re.FindStringSubmatch(s))
			})
		},
	}
}

func onPattern(c *Call, f func(r *regExp, s string) Value) Value {
	o, _ := c.This.(*Object)
	if o == nil {
		return c.Unknown("a pattern's method is called on what is no pattern")
	}
	r, ok := o.Host.(*regExp)
	if !ok || r.re == nil {
		return c.Unknown("the pattern is not understood here")
	}
	s, u := c.M.text(c.Arg(0), c.At)
	if u != nil {
		return u
	}
	return f(r, s)
}

// makeRegExp is a literal: /source/flags.
func (m *Machine) makeRegExp(literal string, at Place) Value {
	end := strings.LastIndexByte(literal, '/')
	if end < 1 {
		return m.unknown("its syntax is not understood here", at)
	}
	return newRegExp(literal[1:end], literal[end+1:])
}

func newRegExp(source, flags string) *Object {
	r := &regExp{source: source, flags: flags}
	goFlags := ""
	for _, f := range flags {
		switch f {
		case 'i', 'm', 's':
			goFlags += string(f)
		case 'g', 'u', 'd':
		default:
			return &Object{Host: r}
		}
	}
	if goFlags != "" {
		goFlags = "(?" + goFlags + ")"
	}
	// In JavaScript \Z, \A, \z, \pL and \Q mean other things.
	if len(source) < 4096 && !strings.Contains(source, "\\Q") && !strings.Contains(source, "\\A") && !strings.Contains(source, "\\z") && !strings.Contains(source, "\\C") {
		if re, err := regexp.Compile(goFlags + source); err == nil {
			r.re = re
		}
	}
	return &Object{Host: r}
}

func matchResult(groups []string) Value {
	if groups == nil {
		return Null{}
	}
	a := &Array{}
	for _, g := range groups {
		a.Elems = append(a.Elems, g)
	}
	return a
}

func stringMatch(c *Call, s string) Value {
	o, _ := c.Arg(0).(*Object)
	if o == nil {
		return c.Unknown("it matches what is no pattern")
	}
	r, ok := o.Host.(*regExp)
	if !ok || r.re == nil {
		return c.Unknown("the pattern is not understood here")
	}
	if strings.Contains(r.flags, "g") {
		return matchResult(r.re.FindAllString(s, -1))
	}
	return matchResult(r.re.FindStringSubmatch(s))
}

func stringReplace(c *Call, s string, all bool) Value {
	replacement := func(match []string) (string, *Unknown) {
		if f, ok := c.Arg(1).(*Func); ok {
			var args []Value
			for _, g := range match {
				args = append(args, g)
			}
			return c.M.text(c.M.call(f, Undefined{}, args, c.At), c.At)
		}
		t, u := c.M.text(c.Arg(1), c.At)
		return expandReplacement(t, match), u
	}
	var spans [][]int
	switch pattern := c.Arg(0).(type) {
	case *Object:
		r, ok := pattern.Host.(*regExp)
		if !ok || r.re == nil {
			return c.Unknown("the pattern is not understood here")
		}
		n := 1
		if strings.Contains(r.flags, "g") {
			n = -1
		}
		spans = r.re.FindAllStringSubmatchIndex(s, n)
	default:
		t, u := c.M.text(pattern, c.At)
		if u != nil {
			return u
		}
		for from := 0; from <= len(s); {
			i := strings.Index(s[from:], t)
			if i < 0 {
				break
			}
			spans = append(spans, []int{from + i, from + i + len(t)})
			from += i + max(len(t), 1)
			if !all {
				break
			}
		}
	}
	var b strings.Builder
	last := 0
	for _, span := range spans {
		var match []string
		for i := 0; i+1 < len(span); i += 2 {
			if span[i] < 0 {
				match = append(match, "")
				continue
			}
			match = append(match, s[span[i]:span[i+1]])
		}
		c.M.step()
		t, u := replacement(match)
		if u != nil {
			return u
		}
		b.WriteString(s[last:span[0]] + t)
		last = span[1]
		if b.Len() > maxText {
			return c.Unknown("the text is too long")
		}
	}
	return b.String() + s[last:]
}

// expandReplacement resolves $1, $& and $$.
func expandReplacement(t string, match []string) string {
	if !strings.Contains(t, "$") {
		return t
	}
	var b strings.Builder
	for i := 0; i < len(t); i++ {
		if t[i] != '$' || i+1 >= len(t) {
			b.WriteByte(t[i])
			continue
		}
		switch next := t[i+1]; {
		case next == '$':
			b.WriteByte('$')
			i++
		case next == '&':
			b.WriteString(match[0])
			i++
		case next >= '1' && next <= '9' && int(next-'0') < len(match):
			b.WriteString(match[next-'0'])
			i++
		default:
			b.WriteByte('$')
		}
	}
	return b.String()
}
