package source

import (
	"bytes"
	"sync"
)

// sourceMap maps a place in esbuild's output back to the file that it read. It
// keeps only lines, because only these are shown. The format is that of
// https://tc39.es/source-map/, version 3, with one source.
type sourceMap struct {
	text []byte
	once sync.Once
	// lines contains the segments of each printed line in their order.
	lines [][]segment
}

// renames reports whether esbuild gave a name of the file another one; only these
// are in the map.
func (s *sourceMap) renames() bool { return !bytes.Contains(s.text, []byte(`"names": []`)) }

type segment struct{ column, line int }

// line returns the line of the file (from 1) for a printed place (from 0).
func (s *sourceMap) line(line, column int) int {
	s.once.Do(s.decode)
	for l := min(line, len(s.lines)-1); l >= 0; l-- {
		segments := s.lines[l]
		for i := len(segments) - 1; i >= 0; i-- {
			if l < line || segments[i].column <= column {
				return segments[i].line + 1
			}
		}
	}
	return 1
}

func (s *sourceMap) decode() {
	_, rest, ok := bytes.Cut(s.text, []byte(`"mappings": "`))
	if !ok {
		return
	}
	mappings, _, _ := bytes.Cut(rest, []byte{'"'})
	s.text = nil
	line := 0
	for printed := range bytes.SplitSeq(mappings, []byte{';'}) {
		var segments []segment
		column := 0
		for len(printed) > 0 {
			var fields [5]int
			n := 0
			for len(printed) > 0 && printed[0] != ',' {
				var v int
				if v, printed, ok = vlq(printed); !ok {
					return
				}
				if n < len(fields) {
					fields[n] = v
				}
				n++
			}
			printed = bytes.TrimPrefix(printed, []byte{','})
			column += fields[0]
			if n >= 4 {
				line += fields[2]
				segments = append(segments, segment{column, line})
			}
		}
		s.lines = append(s.lines, segments)
	}
}

// vlq decodes one base64 variable-length quantity.
func vlq(in []byte) (value int, rest []byte, ok bool) {
	shift := 0
	for i, c := range in {
		digit := int(base64Digits[c]) - 1
		if digit < 0 || shift > 40 {
			return 0, nil, false
		}
		value |= (digit & 31) << shift
		shift += 5
		if digit&32 == 0 {
			if value&1 != 0 {
				return -(value >> 1), in[i+1:], true
			}
			return value >> 1, in[i+1:], true
		}
	}
	return 0, nil, false
}

// base64Digits maps digits to their values plus one.
var base64Digits = func() (table [256]byte) {
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		table[c] = byte(i + 1)
	}
	return table
}()
