package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// TestUnusualMetadataSurvives checks that a small layer repeats whatever a tar header can hold.
func TestUnusualMetadataSurvives(t *testing.T) {
	headers := map[string]tar.Header{
		"an owner beyond 21 bits": {Name: "a/f", Uid: 1 << 22, Gid: 1<<31 - 2},
		"a time before 1970":      {Name: "a/f", ModTime: time.Unix(-86400, 500)},
		"a time before 1900":      {Name: "a/f", ModTime: time.Unix(-1<<32, 0)},
		"a time after 2106":       {Name: "a/f", ModTime: time.Unix(1<<32+5, 999_999_999)},
		"a capability":            {Name: "a/f", PAXRecords: map[string]string{"SCHILY.xattr.security.capability": "\x01\x00\x00\x02\x00\x04\x00\x00=\n\x00"}},
		"an access list":          {Name: "a/f", PAXRecords: map[string]string{"SCHILY.xattr.system.posix_acl_access": "\x02\x00\x00\x00", "SCHILY.xattr.user.ü": "é\xff"}},
		"a tool's own record":     {Name: "a/f", PAXRecords: map[string]string{"LIBARCHIVE.creationtime": "1.5"}},
		"a name of 255 bytes":     {Name: "a/" + strings.Repeat("x", 255)},
		"a path of 3000 bytes":    {Name: "a/" + strings.Repeat("dir/", 750) + "f"},
		"a name that is not text": {Name: "a/\xff\xfe\x01\n"},
		"a name with a backslash": {Name: `a/..\..\f`},
		"a name with an equals":   {Name: "a/30 path=x"},
		"a long link":             {Name: "a/f", Typeflag: tar.TypeSymlink, Linkname: strings.Repeat("../", 600) + "\xff"},
		"a fifo":                  {Name: "a/f", Typeflag: tar.TypeFifo},
		"a large device":          {Name: "a/f", Typeflag: tar.TypeBlock, Devmajor: 1 << 20, Devminor: 1 << 19},
		"setuid, setgid, sticky":  {Name: "a/f", Mode: 0o7755},
	}
	for name, h := range headers {
		t.Run(name, func(t *testing.T) {
			if h.Format = tar.FormatPAX; h.Typeflag == 0 {
				h.Typeflag = tar.TypeReg
			}
			if h.ModTime.IsZero() {
				h.ModTime = time.Unix(1, 0)
			}
			if h.Mode == 0 {
				h.Mode = 0o644
			}
			base := tar.Header{Name: "a/", Typeflag: tar.TypeDir, Mode: 0o755}
			headers := []tar.Header{base}
			for i, c := range h.Name { // directories above it
				if c == '/' && i > 1 {
					dir := base
					dir.Name = h.Name[:i+1]
					headers = append(headers, dir)
				}
			}
			published, built := tarOf(t, headers...), tarOf(t, append(headers, h)...)
			small := smallLayer(t, nil, published, built)
			if small == nil {
				t.Fatal("it is left as it was built")
			}
			in := tar.NewReader(bytes.NewReader(small))
			for {
				got, err := in.Next()
				if errors.Is(err, io.EOF) {
					t.Fatal("the entry is missing")
				}
				if err != nil {
					t.Fatal(err)
				}
				if got.Name != h.Name {
					continue
				}
				if got.Typeflag != h.Typeflag || got.Mode != h.Mode || got.Uid != h.Uid || got.Gid != h.Gid || !got.ModTime.Equal(h.ModTime) ||
					got.Linkname != h.Linkname || got.Devmajor != h.Devmajor || got.Devminor != h.Devminor {
					t.Errorf("%+v, want %+v", got, h)
				}
				for key, value := range h.PAXRecords {
					if got.PAXRecords[key] != value {
						t.Errorf("%s is %q, want %q", key, got.PAXRecords[key], value)
					}
				}
				return
			}
		})
	}
}

func tarOf(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	tw := tar.NewWriter(&b)
	for _, h := range headers {
		if err := tw.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
