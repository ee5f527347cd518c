package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// TestScan checks that Scan lists a layer as Read does, shows every entry whatever the listing makes of it, and
// computes both digests.
func TestScan(t *testing.T) {
	long := strings.Repeat("0123456789", 2000)
	ordinary := []tar.Header{{Name: "a/", Typeflag: tar.TypeDir}, {Name: "a/empty", Typeflag: tar.TypeReg}, {Name: "a/short", Typeflag: tar.TypeReg, Size: 5},
		{Name: "a/head", Typeflag: tar.TypeReg, Size: HeadSize}, {Name: "a/long", Typeflag: tar.TypeReg, Size: int64(len(long))},
		{Name: "b", Typeflag: tar.TypeSymlink, Linkname: "a"}, {Name: "c", Typeflag: tar.TypeLink, Linkname: "a/long"}}
	for name, headers := range map[string][]tar.Header{
		"nothing":               nil,
		"an ordinary layer":     ordinary,
		"a file twice":          append(ordinary[:len(ordinary):len(ordinary)], ordinary[2], ordinary[4]),
		"a path that leads out": {{Name: "../x", Typeflag: tar.TypeReg, Size: 5}, ordinary[4], ordinary[0]},
	} {
		var plain bytes.Buffer
		tw := tar.NewWriter(&plain)
		for _, h := range headers {
			if err := tw.WriteHeader(&h); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(tw, long[:h.Size]); err != nil {
				t.Fatal(err)
			}
		}
		if err := tw.Close(); err != nil {
			t.Fatal(err)
		}
		for _, how := range append(Compressions(), "") {
			blob := plain.Bytes()
			if how != "" {
				var packed bytes.Buffer
				if err := Compress(t.Context(), &packed, bytes.NewReader(blob), how); err != nil {
					t.Fatal(err)
				}
				blob = packed.Bytes()
			}
			for _, contents := range []bool{true, false} {
				n := 0
				got, d, err := Scan(t.Context(), bytes.NewReader(blob), contents, func(h *tar.Header, head []byte) error {
					if want := long[:min(headers[n].Size, HeadSize)]; h.Name != headers[n].Name || string(head) != want {
						t.Errorf("%s, %s: entry %d is %s with %d bytes", name, how, n, h.Name, len(head))
					}
					n++
					return nil
				})
				if err != nil {
					t.Fatalf("%s, %s: %v", name, how, err)
				}
				if n != len(headers) || d.Blob != sumOf(t, blob) || d.DiffID != sumOf(t, plain.Bytes()) {
					t.Errorf("%s, %s: %d entries, %+v", name, how, n, d)
				}
				want, err := Read(t.Context(), bytes.NewReader(blob))
				if err != nil {
					t.Fatal(err)
				}
				if contents && !reflect.DeepEqual(got, want) || !contents && got.Odd == "" {
					t.Errorf("%s, %s, %t: %+v, want %+v", name, how, contents, got, want)
				}
			}
		}
	}
}

func sumOf(t *testing.T, b []byte) v1.Hash {
	t.Helper()
	h, _, err := v1.SHA256(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// TestScanFails checks that a layer that cannot be read is an error, and that an error of visit is returned as it is.
func TestScanFails(t *testing.T) {
	var plain bytes.Buffer
	tw := tar.NewWriter(&plain)
	if err := tw.WriteHeader(&tar.Header{Name: "a", Typeflag: tar.TypeReg, Size: 9000}); err != nil {
		t.Fatal(err)
	}
	if _, err := tw.Write(make([]byte, 9000)); err != nil {
		t.Fatal(err)
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	quiet := func(*tar.Header, []byte) error { return nil }
	for _, size := range []int{100, 600, 3000, 5000, 9000} {
		if _, _, err := Scan(t.Context(), bytes.NewReader(plain.Bytes()[:size]), true, quiet); err == nil {
			t.Errorf("no error after %d bytes", size)
		}
	}
	stop := errors.New("stop")
	if _, _, err := Scan(t.Context(), bytes.NewReader(plain.Bytes()), true, func(*tar.Header, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
}
