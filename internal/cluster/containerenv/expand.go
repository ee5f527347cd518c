package containerenv

import "strings"

// expand replaces $(NAME) by the value of an earlier variable and $$ by a dollar sign. A
// reference that does not name a variable stays unchanged. These are the rules of
// k8s.io/kubernetes/third_party/forked/golang/expansion. If the text refers to a variable
// that we may not read, there is no value, and refused is that variable's source.
func expand(s string, so Values) (value, refused string) {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '$' || i+1 == len(s) {
			out.WriteByte(s[i])
			continue
		}
		switch s[i+1] {
		case '$':
			out.WriteByte('$')
			i++
		case '(':
			end := strings.IndexByte(s[i+2:], ')')
			if end < 0 {
				out.WriteString("$(")
				i++
				continue
			}
			name := s[i+2 : i+2+end]
			switch v := so.Get(name); v.State {
			case Set:
				out.WriteString(v.Reveal())
			case Refused:
				return "", v.Source
			default:
				out.WriteString("$(" + name + ")")
			}
			i += 2 + end
		default:
			out.WriteByte('$')
			out.WriteByte(s[i+1])
			i++
		}
	}
	return out.String(), ""
}
