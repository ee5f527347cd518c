package layer

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

// block returns a header as tar stores it. archive/tar cannot write sparse files.
func block(name string, kind byte, size int, more func(b []byte)) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x000000000\x000000000\x00")
	copy(b[124:], fmt.Sprintf("%011o\x00%011o\x00        ", size, 0))
	b[156] = kind
	copy(b[257:], "ustar\x0000")
	if more != nil {
		more(b)
	}
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

// records returns a PAX header with these records.
func records(all ...string) []byte {
	var text strings.Builder
	for _, r := range all {
		n := len(r) + 3
		for n != len(fmt.Sprint(n))+len(r)+2 {
			n++
		}
		fmt.Fprintf(&text, "%d %s\n", n, r)
	}
	return append(block("x", 'x', text.Len(), nil), padded(text.String())...)
}

func padded(body string) []byte {
	return append([]byte(body), make([]byte, (512-len(body)%512)%512)...)
}

// TestSparseFiles checks that a layer with a sparse file in any of its forms is left as the builder made it, without
// reading the file (opencontainers/image-spec#733: their support differs between tools). The last one is what smolvm
// ships (aquaproj/aqua#5001): the size is not that of the data, and archive/tar refuses it.
func TestSparseFiles(t *testing.T) {
	data := strings.Repeat("d", 512)
	for _, tt := range []struct {
		name  string
		layer [][]byte
	}{
		{"GNU", [][]byte{block("f", 'S', 512, func(b []byte) {
			copy(b[257:], "ustar  \x00")
			copy(b[386:], fmt.Sprintf("%011o\x00%011o\x00", 512, 512))
			copy(b[483:], fmt.Sprintf("%011o\x00", 1024))
		}), padded(data)}},
		{"PAX 0.0", [][]byte{records("GNU.sparse.size=1024", "GNU.sparse.numblocks=1", "GNU.sparse.offset=512", "GNU.sparse.numbytes=512"),
			block("f", '0', 512, nil), padded(data)}},
		{"PAX 0.1", [][]byte{records("GNU.sparse.size=1024", "GNU.sparse.numblocks=1", "GNU.sparse.map=512,512"),
			block("f", '0', 512, nil), padded(data)}},
		{"PAX 1.0", [][]byte{records("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=f", "GNU.sparse.realsize=1024"),
			block("GNUSparseFile.0/f", '0', 1024, nil), padded("1\n512\n512\n"), padded(data)}},
		{"a hole of a terabyte", [][]byte{
			records("GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=f", "GNU.sparse.realsize=1099511627776"),
			block("GNUSparseFile.0/f", '0', 1024, nil), padded("1\n0\n512\n"), padded(data)}},
		{"PAX 1.0 with the size of the file", [][]byte{
			records("size=1024", "GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=f", "GNU.sparse.realsize=1024"),
			block("GNUSparseFile.0/f", '0', 512, nil), padded("1\n512\n256\n"), padded(data)}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, err := Read(t.Context(), bytes.NewReader(append(bytes.Join(tt.layer, nil), make([]byte, 1024)...)))
			if err != nil || !strings.HasSuffix(l.Odd, "is a sparse file") {
				t.Errorf("%v, %+v", err, l)
			}
		})
	}
}
