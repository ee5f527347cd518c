package runnable

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/joelhooks/gh-sbw/internal/layer"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const (
	amd64 = 62
	arm64 = 183
)

// elfFile returns the start of a 64-bit little-endian program.
func elfFile(machine uint16, loader string) string {
	b := make([]byte, 64+56, 256)
	copy(b, "\x7fELF\x02\x01\x01")
	o := binary.LittleEndian
	o.PutUint16(b[18:], machine)
	o.PutUint64(b[32:], 64) // e_phoff
	o.PutUint16(b[54:], 56)
	if loader != "" {
		o.PutUint16(b[56:], 1)
		o.PutUint32(b[64:], 3) // PT_INTERP
		o.PutUint64(b[72:], uint64(len(b)))
		o.PutUint64(b[96:], uint64(len(loader)+1))
		b = append(b, loader...)
	}
	return string(append(b, make([]byte, 9000)...)) // more than is read
}

// file is one entry of a layer. A regular file without a mode gets 0755.
type file struct {
	name, body, link string
	mode             int64
	kind             byte
}

func bin(name string, machine uint16) file { return file{name: name, body: elfFile(machine, "")} }
func sh(name, body string) file            { return file{name: name, body: body} }
func link(name, to string) file            { return file{name: name, link: to, kind: tar.TypeSymlink} }
func gone(name string) file {
	return file{name: filepath.Join(filepath.Dir(name), ".wh."+filepath.Base(name))}
}
func dir(name string) file           { return file{name: name + "/", kind: tar.TypeDir} }
func data(name string) file          { return file{name: name, body: "text", mode: 0o644} }
func wants(name, loader string) file { return file{name: name, body: elfFile(arm64, loader)} }
func tarred(files ...file) []file    { return files }
func layers(ls ...[]file) [][]file   { return ls }
func words(s ...string) []string     { return s }

func tarOf(t testing.TB, files []file) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, f := range files {
		h := &tar.Header{Name: f.name, Typeflag: f.kind, Linkname: f.link, Mode: f.mode, Size: int64(len(f.body))}
		if h.Mode == 0 {
			h.Mode = 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// compress returns a layer in one of the three forms, chosen by i.
func compress(t testing.TB, plain []byte, i int) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	switch i % 3 {
	case 0:
		w = gzip.NewWriter(&b)
	case 1:
		z, err := zstd.NewWriter(&b)
		if err != nil {
			t.Fatal(err)
		}
		w = z
	default:
		return plain
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// image writes a layout with one image and returns its digest.
func image(t testing.TB, dir string, config v1.ConfigFile, layers [][]file) string {
	t.Helper()
	blob := func(text []byte) v1.Descriptor {
		h, n, err := v1.SHA256(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		p := layout.BlobPath(dir, h)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return v1.Descriptor{Digest: h, Size: n}
	}
	document := func(v any) []byte {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	m := v1.Manifest{SchemaVersion: 2, Config: blob(document(config))}
	for i, l := range layers {
		m.Layers = append(m.Layers, blob(compress(t, tarOf(t, l), i)))
	}
	return blob(document(m)).Digest.String()
}

func codes(found []*pipeline.Finding) (all []string) {
	for _, f := range found {
		all = append(all, string(f.Code))
	}
	return all
}

func TestCheck(t *testing.T) {
	bunArm := bin("usr/local/bin/bun", arm64)
	bunAmd := bin("usr/local/bin/bun", amd64)
	shell := bin("bin/sh", arm64)
	const path = "PATH=/usr/local/bin:/usr/bin:/bin"
	for _, tt := range []struct {
		name       string
		layers     [][]file
		entrypoint []string
		cmd        []string
		dir        string
		want       []string // codes
		says       string   // in the first finding
	}{
		{name: "right", layers: layers(tarred(bunArm)), cmd: words("bun", "run", "src/serve.ts")},
		{name: "wrong machine", layers: layers(tarred(bunAmd)), cmd: words("bun", "run"), want: words("exec-format"),
			says: "/usr/local/bin/bun is a program for amd64, but the image is for linux/arm64: exec format error"},
		{name: "right one hidden by a wrong one above", layers: layers(tarred(bunArm), tarred(bunAmd)), cmd: words("bun"), want: words("exec-format")},
		{name: "wrong one replaced above", layers: layers(tarred(bunAmd), tarred(bunArm)), cmd: words("bun")},
		{name: "first on PATH counts", layers: layers(tarred(bunArm, bin("bin/bun", amd64))), cmd: words("bun")},
		{name: "removed, next on PATH counts", layers: layers(tarred(bunArm, bin("bin/bun", amd64)), tarred(gone("usr/local/bin/bun"))), cmd: words("bun"), want: words("exec-format")},
		{name: "directory removed", layers: layers(tarred(bunArm), tarred(gone("usr/local"))), cmd: words("bun"), want: words("entrypoint-missing")},
		{name: "opaque directory", layers: layers(tarred(bunArm), tarred(file{name: "usr/local/.wh..wh..opq"})), cmd: words("bun"), want: words("entrypoint-missing")},
		{name: "opaque keeps its own layer", layers: layers(tarred(bunAmd), tarred(bunArm, file{name: "usr/local/.wh..wh..opq"})), cmd: words("bun")},
		{name: "opaque root", layers: layers(tarred(bunArm), tarred(file{name: ".wh..wh..opq"})), cmd: words("bun"), want: words("entrypoint-missing")},
		{name: "replaced by a directory", layers: layers(tarred(bunArm), tarred(dir("usr/local/bin/bun"))), cmd: words("bun"), want: words("entrypoint-missing")},
		{name: "its directory replaced by a file", layers: layers(tarred(bunArm), tarred(data("usr/local"))), cmd: words("bun"), want: words("entrypoint-missing")},
		{name: "execute bit removed above", layers: layers(tarred(bunArm), tarred(file{name: "usr/local/bin/bun", body: elfFile(arm64, ""), mode: 0o644})), cmd: words("bun"), want: words("entrypoint-mode")},
		{name: "hidden by what cannot be run", layers: layers(tarred(bunArm), tarred(data("usr/local/bin/bun"))), cmd: words("bun"), want: words("entrypoint-missing")},
		{name: "symlink, absolute", layers: layers(tarred(bin("opt/bun/bin/bun", amd64), link("usr/local/bin/bun", "/opt/bun/bin/bun"))), cmd: words("bun"), want: words("exec-format"), says: "/opt/bun/bin/bun is"},
		{name: "symlink, relative", layers: layers(tarred(bin("opt/bun", arm64), link("usr/local/bin/bun", "../../../opt/bun"))), cmd: words("bun")},
		{name: "symlinks in a loop", layers: layers(tarred(link("bin/a", "b"), link("bin/b", "a"))), cmd: words("/bin/a"), want: words("entrypoint-missing")},
		{name: "merged usr", layers: layers(tarred(link("bin", "usr/bin"), bin("usr/bin/sh", arm64))), cmd: words("/bin/sh", "-c", "true")},
		{name: "a file added through a linked directory", layers: layers(tarred(link("bin", "usr/bin"), dir("usr/bin")), tarred(bin("bin/tool", amd64))), cmd: words("/usr/bin/tool"), want: words("exec-format")},
		{name: "link replaced by a directory", layers: layers(tarred(link("bin", "usr/bin"), bin("usr/bin/sh", arm64)), tarred(dir("bin"))), cmd: words("/bin/sh"), want: words("entrypoint-missing")},
		{name: "hard link in the layer", layers: layers(tarred(bunAmd, file{name: "usr/local/bin/bunx", link: "usr/local/bin/bun", kind: tar.TypeLink})), cmd: words("bunx"), want: words("exec-format")},
		{name: "hard link to a layer below", layers: layers(tarred(bunAmd), tarred(file{name: "usr/local/bin/bunx", link: "usr/local/bin/bun", kind: tar.TypeLink})), cmd: words("bunx"), want: words("exec-format")},
		{name: "working directory", layers: layers(tarred(bin("app/serve", amd64))), dir: "/app", cmd: words("./serve"), want: words("exec-format")},
		{name: "script and its interpreter", layers: layers(tarred(sh("app/run.sh", "#!/bin/sh -e\necho\n"), bin("bin/sh", amd64))), entrypoint: words("/app/run.sh"), want: words("exec-format"), says: "/bin/sh is"},
		{name: "script without interpreter", layers: layers(tarred(sh("app/run.sh", "#!/bin/bash\n"))), entrypoint: words("/app/run.sh"), want: words("entrypoint-missing"), says: "/bin/bash"},
		{name: "script through env", layers: layers(tarred(sh("app/run", "#!/usr/bin/env bun\n"), bin("usr/bin/env", arm64), bunAmd)), entrypoint: words("/app/run"), want: words("exec-format"), says: "/usr/local/bin/bun is"},
		{name: "script through env -S", layers: layers(tarred(sh("app/run", "#!/usr/bin/env -S A=b bun --smol\n"), bin("usr/bin/env", arm64), bunAmd)), entrypoint: words("/app/run"), want: words("exec-format")},
		{name: "script with DOS line ends", layers: layers(tarred(sh("run.sh", "#!/bin/sh\r\n"), shell)), entrypoint: words("/run.sh"), want: words("entrypoint-missing"), says: "carriage return"},
		{name: "script without its first line", layers: layers(tarred(sh("run.sh", "\n#!/bin/sh\n"), shell)), entrypoint: words("/run.sh"), want: words("exec-format"), says: "neither a program nor a script"},
		{name: "script that names itself", layers: layers(tarred(sh("run.sh", "#!/run.sh\n"))), entrypoint: words("/run.sh"), want: words("exec-format")},
		{name: "script not executable", layers: layers(tarred(file{name: "run.sh", body: "#!/bin/sh\n", mode: 0o644}, shell)), entrypoint: words("/run.sh"), want: words("entrypoint-mode")},
		{name: "entrypoint script, then the command", layers: layers(tarred(sh("e.sh", "#!/bin/sh\nexec \"$@\"\n"), shell, bunAmd)), entrypoint: words("/e.sh"), cmd: words("bun", "run"), want: words("exec-format"), says: "/usr/local/bin/bun is"},
		{name: "entrypoint script, then an argument", layers: layers(tarred(sh("e.sh", "#!/bin/sh\n"), shell)), entrypoint: words("/e.sh"), cmd: words("--verbose")},
		{name: "tini", layers: layers(tarred(bin("bin/tini", arm64), bunAmd)), entrypoint: words("tini", "-s", "--"), cmd: words("bun"), want: words("exec-format")},
		{name: "shell form", layers: layers(tarred(shell, bunAmd)), cmd: words("/bin/sh", "-c", "FOO=bar exec bun run x"), want: words("exec-format"), says: "/usr/local/bin/bun is"},
		{name: "shell form with a builtin", layers: layers(tarred(shell)), cmd: words("/bin/sh", "-c", "set -e; bun")},
		{name: "env -S in the first line", layers: layers(tarred(sh("app/run", "#!/usr/bin/env -S bun run\n"), bin("usr/bin/env", arm64), bunArm)), entrypoint: words("/app/run")},
		{name: "env -vS, quoted", layers: layers(tarred(sh("app/run", "#!/usr/bin/env -vS 'bun' run\n"), bin("usr/bin/env", arm64), bunAmd)), entrypoint: words("/app/run"), want: words("exec-format"), says: "/usr/local/bin/bun is"},
		{name: "env --split-string", layers: layers(tarred(sh("app/run", "#!/usr/bin/env --split-string=A=b bun run\n"), bin("usr/bin/env", arm64), bunAmd)), entrypoint: words("/app/run"), want: words("exec-format")},
		{name: "env -S in a command", layers: layers(tarred(bin("usr/bin/env", arm64), bunAmd)), entrypoint: words("env", "-S", "A=b bun"), cmd: words("run"), want: words("exec-format")},
		{name: "exec form in single quotes", layers: layers(tarred(shell, bunArm)), cmd: words("/bin/sh", "-c", "['bun', 'src/worker.ts']"), want: words("entrypoint-missing"), says: "a program called [bun,"},
		{name: "exec form with a comma at the end", layers: layers(tarred(shell, bunArm)), cmd: words("/bin/sh", "-c", `["/w",]`), want: words("entrypoint-missing"), says: "[/w,]"},
		{name: "a test in the shell", layers: layers(tarred(shell, bunArm)), cmd: words("/bin/sh", "-c", "[ -f x ] && exec bun")},
		{name: "a test, then a wrong program", layers: layers(tarred(shell, bunAmd)), cmd: words("/bin/sh", "-c", "[ -f x ] && exec bun"), want: words("exec-format")},
		{name: "quoted program", layers: layers(tarred(shell, bunAmd)), cmd: words("/bin/sh", "-c", `"bun" run "x y"`), want: words("exec-format")},
		{name: "after &&", layers: layers(tarred(shell, bin("bin/migrate", arm64), bunAmd)), cmd: words("/bin/sh", "-c", "migrate up && exec bun run x"), want: words("exec-format")},
		{name: "a path that is missing, in the shell", layers: layers(tarred(shell)), cmd: words("/bin/sh", "-c", "'/usr/bin/bun' run x"), want: words("entrypoint-missing"), says: "/usr/bin/bun"},
		{name: "a path that is missing after cd", layers: layers(tarred(shell)), cmd: words("/bin/sh", "-c", "cd /app && exec ./serve"), want: words("entrypoint-missing"), says: "./serve"},
		{name: "a path without #!, in the shell", layers: layers(tarred(shell, sh("run", "bun run x\n"))), cmd: words("/bin/sh", "-c", "/run")},
		{name: "a path that is missing, and another instead", layers: layers(tarred(shell)), cmd: words("/bin/sh", "-c", "/run || sleep 1")},
		{name: "after cd", layers: layers(tarred(shell, bin("app/sub/serve", amd64))), dir: "/", cmd: words("/bin/bash", "-lc", "cd /app; cd sub && ./serve"), want: words("entrypoint-missing")},
		{name: "after cd, in sh", layers: layers(tarred(shell, bin("app/sub/serve", amd64))), cmd: words("/bin/sh", "-ec", "cd /app; cd sub && ./serve"), want: words("exec-format"), says: "/app/sub/serve"},
		{name: "a variable's program", layers: layers(tarred(shell, bunAmd)), cmd: words("/bin/sh", "-c", "$RUNNER bun run; if true; then bun; fi")},
		{name: "loader missing", layers: layers(tarred(wants("app", "/lib/ld-musl-aarch64.so.1"))), cmd: words("/app"), want: words("entrypoint-loader"), says: "/lib/ld-musl-aarch64.so.1"},
		{name: "loader through a linked directory", layers: layers(tarred(wants("app", "/lib/ld.so"), link("lib", "usr/lib"), bin("usr/lib/ld.so", arm64))), cmd: words("/app")},
		{name: "loader of another machine", layers: layers(tarred(wants("app", "/lib/ld.so"), bin("lib/ld.so", amd64))), cmd: words("/app"), want: words("exec-format")},
		{name: "missing", layers: layers(tarred(shell)), cmd: words("bun", "run"), want: words("entrypoint-missing"), says: "bun, looked for in /usr/local/bin"},
		{name: "no command", layers: layers(tarred(shell)), want: words("entrypoint-none")},
		{name: "no layer", cmd: words("bun"), want: words("entrypoint-missing")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			digest := image(t, dir, v1.ConfigFile{OS: "linux", Architecture: "arm64",
				Config: v1.Config{Env: []string{path}, Entrypoint: tt.entrypoint, Cmd: tt.cmd, WorkingDir: tt.dir}}, tt.layers)
			cache := t.TempDir()
			for _, run := range []string{"read", "cached"} {
				rep, err := Check(t.Context(), dir, digest, Options{Platforms: []string{"linux/arm64"}, CacheDir: cache}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(tt.want, codes(rep.Findings)); d != "" {
					t.Errorf("%s: %s\n%v", run, d, rep.Findings)
				}
				if tt.says != "" && (len(rep.Findings) == 0 || !strings.Contains(rep.Findings[0].What, tt.says)) {
					t.Errorf("%s: %v does not say %q", run, rep.Findings, tt.says)
				}
			}
		})
	}
}

func TestCheckConfig(t *testing.T) {
	dir := t.TempDir()
	config := v1.ConfigFile{OS: "linux", Architecture: "amd64", Config: v1.Config{Cmd: []string{"/app"}, ExposedPorts: map[string]struct{}{"3000/tcp": {}}}}
	digest := image(t, dir, config, layers(tarred(bin("app", amd64))))
	rep, err := Check(t.Context(), dir, digest, Options{Platforms: []string{"linux/arm64"}, Port: 3111, NonRoot: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"image-platform", "image-user", "image-port"}, codes(rep.Findings)); d != "" {
		t.Error(d, rep.Findings)
	}
	if rep.Size == 0 || len(rep.Images) != 1 {
		t.Errorf("report = %+v", rep)
	}
	config.Config.ExposedPorts["3111/tcp"] = struct{}{}
	config.Config.User = "1000:1000"
	digest = image(t, dir, config, layers(tarred(bin("app", amd64))))
	rep, err = Check(t.Context(), dir, digest, Options{Platforms: []string{"linux/amd64"}, Port: 3111, NonRoot: true}, nil)
	if err != nil || len(rep.Findings) != 0 {
		t.Errorf("findings = %v, %v", rep.Findings, err)
	}
	for user, want := range map[string]string{"": "is root", "root": "is root", "0:1000": "is root", "bun": "is bun, given by name", "1000": "", "65534:65534": ""} {
		config.Config.User = user
		rep, err := Check(t.Context(), dir, image(t, dir, config, layers(tarred(bin("app", amd64)))), Options{NonRoot: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if (want == "") != (len(rep.Findings) == 0) || want != "" && (!strings.Contains(rep.Findings[0].What, want) || rep.Findings[0].Severity != pipeline.Warning) {
			t.Errorf("user %q: %v", user, rep.Findings)
		}
	}
}

func TestCheckBrokenLayer(t *testing.T) {
	dir := t.TempDir()
	config := v1.ConfigFile{OS: "linux", Architecture: "arm64", Config: v1.Config{Cmd: []string{"/app"}}}
	digest := image(t, dir, config, layers(tarred(bin("app", arm64))))
	imgs, err := layout.Images(dir, digest)
	if err != nil {
		t.Fatal(err)
	}
	p := layout.BlobPath(dir, imgs[0].Manifest.Layers[0].Digest)
	fi, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(p, fi.Size()/2); err != nil {
		t.Fatal(err)
	}
	_, err = Check(t.Context(), dir, digest, Options{}, nil)
	if f, ok := errors.AsType[*pipeline.Finding](err); !ok || f.Code != "layout-broken" {
		t.Errorf("err = %v", err)
	}
}

// TestCheckOtherContent checks that a layer whose content was changed without
// changing its length is found before anything is pushed, and so is one that is
// not in the config.
func TestCheckOtherContent(t *testing.T) {
	whole := layers(tarred(bin("app", arm64), data("etc/x")))
	sum := func(text []byte) v1.Hash {
		h, _, err := v1.SHA256(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	config := func(diffID v1.Hash) v1.ConfigFile {
		return v1.ConfigFile{OS: "linux", Architecture: "arm64", Config: v1.Config{Cmd: []string{"/app"}}, RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{diffID}}}
	}
	right := sum(tarOf(t, whole[0]))
	for name, tt := range map[string]struct {
		diffID v1.Hash
		spoil  bool
		want   string
	}{
		"right":            {right, false, ""},
		"another diff_id":  {sum([]byte("x")), false, "is not the one in the image's config"},
		"changed in place": {right, true, "does not match its digest"},
	} {
		dir, cache := t.TempDir(), t.TempDir()
		digest := image(t, dir, config(tt.diffID), whole)
		if tt.spoil {
			imgs, err := layout.Images(dir, digest)
			if err != nil {
				t.Fatal(err)
			}
			p := layout.BlobPath(dir, imgs[0].Manifest.Layers[0].Digest)
			text, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			text[4]++ // gzip's time, which decoders ignore
			if err := os.WriteFile(p, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 { // the second time from the cache
			_, err := Check(t.Context(), dir, digest, Options{CacheDir: cache}, nil)
			f, ok := errors.AsType[*pipeline.Finding](err)
			if ok != (tt.want != "") || ok && (f.Code != "layout-broken" || !strings.Contains(f.What, tt.want)) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestSummaryIsSmall limits the size of a cached summary for a hundred thousand
// files.
func TestSummaryIsSmall(t *testing.T) {
	var files []file
	for i := range 100_000 {
		files = append(files, file{name: fmt.Sprintf("app/node_modules/p%d/index.js", i), mode: 0o644})
	}
	s, _, _, err := summarize(t.Context(), bytes.NewReader(tarOf(t, files)), false)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 1_200_000 || len(s.Entries) != 0 {
		t.Errorf("%d bytes, %d entries", len(text), len(s.Entries))
	}
}

// TestContents checks that the listings of layers are stored if they are wanted, and only then.
func TestContents(t *testing.T) {
	for _, want := range []bool{true, false} {
		dir, cache := t.TempDir(), t.TempDir()
		digest := image(t, dir, v1.ConfigFile{OS: "linux", Architecture: "arm64"}, layers(tarred(data("etc/passwd"))))
		rep, err := Check(t.Context(), dir, digest, Options{CacheDir: cache, Contents: want}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range rep.Images[0].Manifest.Layers {
			l := layer.Remembered(cache, d.Digest)
			if layer.Stored(cache, d.Digest) != want || (l != nil) != want || want && l.Files() != 1 {
				t.Errorf("%t: %+v", want, l)
			}
		}
	}
}
