package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"
)

// rec is one entry of a tar that a test writes.
type rec struct {
	name  string
	kind  byte
	body  string
	link  string
	mode  int64
	uid   int
	xattr string
	major int64
	mtime int64
}

func pack(tb testing.TB, recs []rec) []byte {
	tb.Helper()
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, r := range recs {
		h := &tar.Header{Name: r.name, Typeflag: r.kind, Linkname: r.link, Mode: r.mode, Uid: r.uid, Size: int64(len(r.body)), Devmajor: r.major, ModTime: time.Unix(r.mtime, 0), Format: tar.FormatPAX}
		if r.xattr != "" {
			h.PAXRecords = map[string]string{"SCHILY.xattr.user.x": r.xattr}
		}
		if r.kind == tar.TypeXGlobalHeader {
			h = &tar.Header{Typeflag: r.kind, PAXRecords: map[string]string{"comment": "git"}}
		}
		if err := tw.WriteHeader(h); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(tw, r.body); err != nil {
			tb.Fatal(err)
		}
	}
	if err := tw.Close(); err != nil {
		tb.Fatal(err)
	}
	return buf.Bytes()
}

// oracle unpacks layers in the simplest possible way, directly from tars and
// without any code of the package: it is a map of paths, from which removals
// delete prefixes. The value of a path is a line of text.
type oracle struct {
	lines  map[string]string // path → everything except links
	inodes map[string]int
	next   int
}

func newOracle() *oracle { return &oracle{lines: map[string]string{}, inodes: map[string]int{}} }

func (o *oracle) drop(p string, self bool) {
	for q := range o.lines {
		if q == p && self || strings.HasPrefix(q, strings.TrimSuffix(p, "/")+"/") && q != p {
			delete(o.lines, q)
			delete(o.inodes, q)
		}
	}
}

func (o *oracle) unpack(t testing.TB, layer []byte) {
	t.Helper()
	for _, removals := range []bool{true, false} {
		in := tar.NewReader(bytes.NewReader(layer))
		for {
			h, err := in.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			p := path.Clean("/" + h.Name)
			dir, base := path.Split(p)
			dir = path.Clean(dir)
			if strings.HasPrefix(base, ".wh.") {
				if removals {
					if base == ".wh..wh..opq" {
						o.drop(dir, false)
					} else {
						o.drop(path.Join(dir, base[4:]), true)
					}
				}
				continue
			}
			if removals {
				continue
			}
			for d := dir; d != "/"; d = path.Dir(d) {
				if o.lines[d] == "" {
					o.lines[d] = "implied"
				}
			}
			body, err := io.ReadAll(in)
			if err != nil {
				t.Fatal(err)
			}
			line := fmt.Sprintf("%c %o %d %d %q %q %d %q", h.Typeflag, h.Mode, h.Uid, h.Gid, body, h.Linkname, h.Devmajor, h.PAXRecords["SCHILY.xattr.user.x"])
			switch h.Typeflag {
			case tar.TypeDir:
				if l := o.lines[p]; l != "implied" && !strings.HasPrefix(l, string(tar.TypeDir)+" ") {
					o.drop(p, true)
				}
				o.lines[p] = line
				delete(o.inodes, p)
			case tar.TypeLink:
				to := path.Clean("/" + h.Linkname)
				o.drop(p, true)
				o.lines[p], o.inodes[p] = o.lines[to], o.inodes[to]
			default:
				o.drop(p, true)
				o.next++
				o.lines[p], o.inodes[p] = line, o.next
			}
		}
	}
}

// text returns the whole tree. Each of several linked paths names the first of
// them.
func (o *oracle) text() string {
	first := map[int]string{}
	var paths []string
	for p := range o.lines {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	var b strings.Builder
	for _, p := range paths {
		i := o.inodes[p]
		if first[i] == "" || i == 0 {
			first[i] = p
		}
		fmt.Fprintf(&b, "%s %s =%s\n", p, o.lines[p], first[i])
	}
	return b.String()
}

// generator makes random layers from a small set of names, so that they
// overlap.
type generator struct{ *rand.Rand }

func (g generator) pick(list ...string) string { return list[g.IntN(len(list))] }

func (g generator) path() string {
	p := g.pick("a", "b", "c")
	for g.IntN(2) == 0 {
		p += "/" + g.pick("a", "b", "c", "d", strings.Repeat("long", 30), "ü\xff", "x y")
	}
	return p
}

func (g generator) rec() rec {
	r := rec{name: g.path(), mode: []int64{0o644, 0o755, 0o4755, 0o1777}[g.IntN(4)], uid: g.IntN(2) * 3_000_000 * g.IntN(2), mtime: int64(g.IntN(1000))}
	switch g.IntN(16) {
	case 0, 1, 2, 3:
		r.kind, r.name = tar.TypeDir, r.name+"/"
	case 4, 5:
		r.kind, r.link, r.mode = tar.TypeSymlink, g.path(), 0o777
	case 6, 7:
		r.kind, r.link = tar.TypeLink, g.path()
	case 8:
		r.kind, r.major = tar.TypeChar, int64(g.IntN(3))
	case 9:
		r.kind = tar.TypeFifo
	case 10, 11:
		r.kind, r.name = tar.TypeReg, path.Join(path.Dir(r.name), ".wh."+path.Base(r.name))
	case 12:
		r.kind, r.name = tar.TypeReg, r.name+"/.wh..wh..opq"
	default:
		r.kind, r.body = tar.TypeReg, strings.Repeat(g.pick("p", "q", "r"), g.IntN(3)*700)
	}
	if g.IntN(6) == 0 && r.kind != tar.TypeLink {
		r.xattr = g.pick("1", "2")
	}
	return r
}

func (g generator) layer() []rec {
	var all []rec
	for range g.IntN(14) {
		all = append(all, g.rec())
	}
	return all
}

// tidy removes entries that would make a layer odd, so that Read accepts most
// random layers.
func (g generator) tidy(all []rec) []rec {
	seen := map[string]byte{}
	var kept []rec
	parents := g.IntN(5) > 0 // builders write entries for parent directories
	for _, r := range all {
		p := path.Clean("/" + r.name)
		shown := strings.Replace(p, "/.wh.", "/", 1)
		ok := seen[p] == 0 && seen[shown] == 0 && (r.kind != tar.TypeChar || r.major != 0)
		for d := path.Dir(p); d != "/"; d = path.Dir(d) {
			if k := seen[d]; k != 0 && k != tar.TypeDir || seen[d+"\x00gone"] != 0 {
				ok = false
			}
		}
		for q := range seen {
			if r.kind != tar.TypeDir && strings.HasPrefix(q, p+"/") || strings.Contains(r.name, ".wh.") && strings.HasPrefix(q, shown+"/") {
				ok = false
			}
		}
		if r.kind == tar.TypeLink {
			var files []string
			for q, k := range seen {
				if k == tar.TypeReg {
					files = append(files, q)
				}
			}
			if len(files) == 0 {
				continue
			}
			slices.Sort(files)
			to := files[g.IntN(len(files))]
			r.link = to[1:]
			for _, k := range kept {
				if path.Clean("/"+k.name) == to {
					r.mode, r.uid = k.mode, k.uid
				}
			}
		}
		if !ok {
			continue
		}
		if parents {
			var above []rec
			for d := path.Dir(p); d != "/"; d = path.Dir(d) {
				if seen[d] == 0 {
					seen[d] = tar.TypeDir
					above = append(above, rec{name: d[1:] + "/", kind: tar.TypeDir, mode: 0o755})
				}
			}
			slices.Reverse(above)
			kept = append(kept, above...)
		}
		switch {
		case strings.HasSuffix(p, ".wh..wh..opq"):
			seen[p] = 'o'
		case shown != p:
			seen[shown], seen[shown+"\x00gone"] = 'w', 'w'
		default:
			seen[p] = r.kind
		}
		kept = append(kept, r)
	}
	return kept
}

// change derives a layer from another one, as if the build had run again.
func (g generator) change(all []rec) []rec {
	all = slices.Clone(all)
	for range 1 + g.IntN(3) {
		if len(all) == 0 {
			break
		}
		i := g.IntN(len(all))
		switch g.IntN(6) {
		case 0:
			all = slices.Delete(all, i, i+1)
		case 1:
			all = append(all, g.rec())
		case 2:
			all[i].mode ^= 0o111
		case 3:
			all[i].mtime++
		case 4:
			if all[i].kind == tar.TypeReg && !strings.Contains(all[i].name, ".wh.") {
				all[i].body += "!"
			}
		default:
			n := g.rec()
			n.name, all[i] = strings.TrimSuffix(all[i].name, "/"), n
		}
	}
	return all
}
