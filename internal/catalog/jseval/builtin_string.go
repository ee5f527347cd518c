package jseval

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
)

func makeStringMethods() methods {
	return methods{
		"toLowerCase": onText(func(c *Call, s string) Value { return strings.ToLower(s) }),
		"toUpperCase": onText(func(c *Call, s string) Value { return strings.ToUpper(s) }),
		"trim":        onText(func(c *Call, s string) Value { return strings.TrimSpace(s) }),
		"trimStart":   onText(func(c *Call, s string) Value { return strings.TrimLeft(s, " \t\r\n\v\f\u00a0\ufeff") }),
		"trimEnd":     onText(func(c *Call, s string) Value { return strings.TrimRight(s, " \t\r\n\v\f\u00a0\ufeff") }),
		"toString":    onText(func(c *Call, s string) Value { return s }),
		"valueOf":     onText(func(c *Call, s string) Value { return s }),
		"startsWith": onText(func(c *Call, s string) Value {
			return withText(c, func(t string) Value { return strings.HasPrefix(s, t) })
		}),
		"endsWith": onText(func(c *Call, s string) Value {
			return withText(c, func(t string) Value { return strings.HasSuffix(s, t) })
		}),
		"includes": onText(func(c *Call, s string) Value {
			return withText(c, func(t string) Value { return strings.Contains(s, t) })
		}),
		"indexOf": onText(func(c *Call, s string) Value {
			return withText(c, func(t string) Value { return float64(unitIndex(s, strings.Index(s, t))) })
		}),
		"lastIndexOf": onText(func(c *Call, s string) Value {
			return withText(c, func(t string) Value { return float64(unitIndex(s, strings.LastIndex(s, t))) })
		}),
		"localeCompare": onText(func(c *Call, s string) Value {
			return withText(c, func(t string) Value { return float64(strings.Compare(s, t)) })
		}),
		"concat":     onText(stringConcat),
		"repeat":     onText(stringRepeat),
		"padStart":   onText(func(c *Call, s string) Value { return stringPad(c, s, true) }),
		"padEnd":     onText(func(c *Call, s string) Value { return stringPad(c, s, false) }),
		"slice":      onText(stringSlice),
		"substring":  onText(stringSubstring),
		"substr":     onText(stringSubstr),
		"charAt":     onText(stringCharAt),
		"at":         onText(stringAt),
		"split":      onText(stringSplit),
		"replace":    onText(func(c *Call, s string) Value { return stringReplace(c, s, false) }),
		"replaceAll": onText(func(c *Call, s string) Value { return stringReplace(c, s, true) }),
		"match":      onText(stringMatch),
	}
}

// onText calls f with the text, unless an argument is unknown.
func onText(f func(c *Call, s string) Value) Native {
	return func(c *Call) Value {
		s, ok := c.This.(string)
		if !ok {
			return c.Unknown("a text's method is called on what is no text")
		}
		c.M.steps += len(s) / 256
		if u := c.unknownArg(); u != nil {
			return c.M.primitive(u)
		}
		return f(c, s)
	}
}

func withText(c *Call, f func(t string) Value) Value {
	t, u := c.M.text(c.Arg(0), c.At)
	if u != nil {
		return u
	}
	return f(t)
}

func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n += utf16.RuneLen(r)
	}
	return n
}

// unitIndex turns a place in bytes into one in UTF-16 units.
func unitIndex(s string, at int) int {
	if at < 0 {
		return -1
	}
	return utf16Len(s[:at])
}

func charAt(s string, i int) (string, bool) {
	units := utf16.Encode([]rune(s))
	if i < 0 || i >= len(units) {
		return "", false
	}
	return string(utf16.Decode(units[i : i+1])), true
}

func units(s string, from, to int) string {
	u := utf16.Encode([]rune(s))
	if from >= to || from >= len(u) {
		return ""
	}
	return string(utf16.Decode(u[from:min(to, len(u))]))
}

func stringSlice(c *Call, s string) Value {
	n := utf16Len(s)
	return units(s, index(c.Arg(0), n, 0), index(c.Arg(1), n, n))
}

func stringSubstring(c *Call, s string) Value {
	n := utf16Len(s)
	clamp := func(v Value, otherwise int) int {
		f, ok := v.(float64)
		if !ok {
			return otherwise
		}
		if math.IsNaN(f) {
			return 0
		}
		return int(math.Min(math.Max(f, 0), float64(n)))
	}
	from, to := clamp(c.Arg(0), 0), clamp(c.Arg(1), n)
	return units(s, min(from, to), max(from, to))
}

func stringSubstr(c *Call, s string) Value {
	n := utf16Len(s)
	from := index(c.Arg(0), n, 0)
	count := n - from
	if f, ok := c.Arg(1).(float64); ok {
		count = int(math.Min(math.Max(f, 0), float64(n)))
	}
	return units(s, from, from+count)
}

func stringCharAt(c *Call, s string) Value {
	f, _ := c.Arg(0).(float64)
	if f >= 0 && f < float64(len(s)) {
		if r, ok := charAt(s, int(f)); ok {
			return r
		}
	}
	return ""
}

func stringAt(c *Call, s string) Value {
	f, _ := c.Arg(0).(float64)
	if f < 0 {
		f += float64(utf16Len(s))
	}
	if f >= 0 && f < float64(len(s)) {
		if r, ok := charAt(s, int(f)); ok {
			return r
		}
	}
	return Undefined{}
}

func stringConcat(c *Call, s string) Value {
	for _, v := range c.Args {
		t, u := c.M.text(v, c.At)
		if u != nil {
			return u
		}
		if len(s)+len(t) > maxText {
			return c.Unknown("the text is too long")
		}
		s += t
	}
	return s
}

func stringRepeat(c *Call, s string) Value {
	n, ok := c.Arg(0).(float64)
	if !ok || math.IsNaN(n) || n < 0 || n*float64(len(s)) > maxText || n > maxText {
		return c.Unknown("the text is too long")
	}
	return strings.Repeat(s, int(n))
}

func stringPad(c *Call, s string, start bool) Value {
	n, ok := c.Arg(0).(float64)
	if !ok || n > maxText {
		return c.Unknown("the text is too long")
	}
	fill := " "
	if t, ok := c.Arg(1).(string); ok {
		fill = t
	}
	missing := int(n) - utf16Len(s)
	if missing <= 0 || fill == "" {
		return s
	}
	pad := units(strings.Repeat(fill, missing/utf16Len(fill)+1), 0, missing)
	if start {
		return pad + s
	}
	return s + pad
}

func stringSplit(c *Call, s string) Value {
	var parts []string
	switch sep := c.Arg(0).(type) {
	case Undefined:
		parts = []string{s}
	case string:
		parts = strings.Split(s, sep)
	case *Object:
		r, ok := sep.Host.(*regExp)
		if !ok || r.re == nil || r.re.NumSubexp() > 0 {
			return c.Unknown("it splits by a pattern that is not understood here")
		}
		parts = r.re.Split(s, -1)
	default:
		return c.Unknown("it splits by what is no text")
	}
	out := &Array{}
	for _, p := range parts {
		out.Elems = append(out.Elems, p)
	}
	c.M.clip(out, c.At)
	if n, ok := c.Arg(1).(float64); ok && n >= 0 && int(n) < len(out.Elems) {
		out.Elems = out.Elems[:int(n):int(n)]
	}
	return out
}

func makeNumberMethods() methods {
	return methods{
		"toString": func(c *Call) Value {
			n, ok := c.This.(float64)
			base, given := c.Arg(0).(float64)
			switch {
			case !ok:
				return c.Unknown("a number's method is called on what is no number")
			case !given || base == 10:
				return formatNumber(n)
			case base >= 2 && base <= 36 && n == math.Trunc(n) && math.Abs(n) < 1<<53:
				return strconv.FormatInt(int64(n), int(base))
			}
			return c.Unknown("it is the text of a fraction")
		},
		"toFixed": func(c *Call) Value {
			n, ok := c.This.(float64)
			digits, _ := c.Arg(0).(float64)
			if !ok || digits < 0 || digits > 100 {
				return c.Unknown("a number's method is called on what is no number")
			}
			return strconv.FormatFloat(n, 'f', int(digits), 64)
		},
		"valueOf": func(c *Call) Value { return c.This },
	}
}
