package build

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

func codesOf(found []*pipeline.Finding) (all []string) {
	for _, f := range found {
		all = append(all, strings.TrimSuffix(string(f.Code)+" "+f.Where, " "))
	}
	return all
}

func TestCheckDockerfile(t *testing.T) {
	for _, tt := range []struct {
		name string
		tree map[string]string
		req  Request
		want []string
		says string
	}{
		{name: "the seed's shape", tree: map[string]string{
			"Dockerfile":    "FROM node:22 AS deps\nCOPY pnpm-lock.yaml package.json ./\nCOPY packages/ packages/\nRUN pnpm install\nFROM oven/bun:1.3.9\nCOPY --from=deps /app/node_modules /app/node_modules\nCMD [\"bun\"]\n",
			".dockerignore": "**/node_modules\n.git\n", "pnpm-lock.yaml": "", "package.json": "", "packages/a/package.json": ""}},
		{name: "none", tree: map[string]string{"packages/x/Dockerfile": "", "node_modules/y/Dockerfile": ""}, want: []string{"dockerfile-missing"}, says: "no Dockerfile Dockerfile: there is packages/x/Dockerfile"},
		{name: "syntax", tree: map[string]string{"Dockerfile": "FROM a\n\nRUNN x\n"}, want: []string{"dockerfile-syntax Dockerfile:3"}, says: "did you mean RUN?"},
		{name: "another frontend", tree: map[string]string{"Dockerfile": "# syntax=example.com/other\nwhatever\n"}},
		{name: "target", tree: map[string]string{"Dockerfile": "FROM a AS one\nFROM b AS two\n"}, req: Request{Target: "three"}, want: []string{"dockerfile-target Dockerfile:1"}, says: "one, two"},
		{name: "platform fixed", tree: map[string]string{"Dockerfile": "FROM --platform=linux/amd64 a AS base\nFROM base\n"}, want: []string{"dockerfile-platform Dockerfile:1"}},
		{name: "platform fixed by an argument", tree: map[string]string{"Dockerfile": "ARG P=linux/arm64\nFROM --platform=$P a\n"}, req: Request{Args: map[string]string{"P": "linux/amd64"}}, want: []string{"dockerfile-platform Dockerfile:2"}},
		{name: "platform of a tool's stage alone", tree: map[string]string{"Dockerfile": "FROM --platform=linux/amd64 a AS tool\nFROM b\nCOPY --from=tool x y\n"}},
		{name: "platform of the builder", tree: map[string]string{"Dockerfile": "FROM --platform=$BUILDPLATFORM a AS tool\nFROM --platform=$TARGETPLATFORM b\n"}},
		{name: "copied file is missing", tree: map[string]string{"Dockerfile": "FROM a\nCOPY here ./gone/it /x/\n", "here": ""}, want: []string{"copy-missing Dockerfile:2"}, says: "COPY takes ./gone/it"},
		{name: "copied file is ignored", tree: map[string]string{"Dockerfile": "FROM a\nADD dist/app /x\n", "dist/app": "", ".dockerignore": "dist\n"}, want: []string{"copy-ignored Dockerfile:2"}, says: "!dist/app"},
		{name: "the Dockerfile's own ignore file counts", tree: map[string]string{"Dockerfile": "FROM a\nADD dist/app /x\n", "dist/app": "", ".dockerignore": "dist\n", "Dockerfile.dockerignore": "other\n"}},
		{name: "ignored with an exception", tree: map[string]string{"Dockerfile": "FROM a\nCOPY dist /x\n", "dist/app": "", ".dockerignore": "dist\n!dist/app\n"}},
		{name: "what cannot be determined", tree: map[string]string{"Dockerfile": "FROM a\nARG V\nCOPY $V *.json lock? /x/\nADD https://example.com/x git@github.com:o/n.git /y/\nCOPY --from=img gone /z\nCOPY <<EOF /w\nEOF\nCOPY . /all\nCOPY / /all\n"}},
		{name: "a stage that is not built", tree: map[string]string{"Dockerfile": "FROM a AS unused\nCOPY gone /\nFROM b\n"}},
		{name: "another lock file", tree: map[string]string{"Dockerfile": "FROM a\nCOPY package.json bun.lockb ./\n", "package.json": "", "bun.lock": ""}, want: []string{"copy-missing Dockerfile:2"}, says: "bun.lock is there"},
		{name: "another package manager's lock file", tree: map[string]string{"Dockerfile": "FROM a\nCOPY app/package-lock.json ./\n", "app/pnpm-lock.yaml": ""}, want: []string{"copy-missing Dockerfile:2"}, says: "app/pnpm-lock.yaml is there"},
		{name: "a lock file below", tree: map[string]string{"Dockerfile": "FROM a\nCOPY bun.lock ./\n", "web/bun.lock": ""}, want: []string{"copy-missing Dockerfile:2"}, says: "there is web/bun.lock"},
		{name: "other capitals", tree: map[string]string{"Dockerfile": "FROM a\nCOPY --chown=1:1 [\"app/yarn.lock\", \"./\"]\n", "app/Yarn.lock": "", "app/bun.lock": ""}, want: []string{"copy-missing Dockerfile:2"}, says: "app/Yarn.lock exists, but file names are case-sensitive"},
		{name: "a wildcard without a match is allowed", tree: map[string]string{"Dockerfile": "FROM a\nCOPY package.json yarn.lock* src/*.ts ./\n", "package.json": ""}},
		{name: "misspelt", tree: map[string]string{"Dockerfile": "FROM a\nCOPY src/idnex.ts ./\n", "src/index.ts": ""}, want: []string{"copy-missing Dockerfile:2"}, says: "src/index.ts is there"},
		{name: "ignored by the second line", tree: map[string]string{"Dockerfile": "FROM a\nCOPY bun.lock ./\n", "bun.lock": "", ".dockerignore": "# locks\n*.lock\n"}, want: []string{"copy-ignored Dockerfile:2"}, says: ".dockerignore:2"},
		{name: "ignored again after an exception", tree: map[string]string{"Dockerfile": "FROM a\nCOPY bun.lock ./\n", "bun.lock": "", ".dockerignore": "*\n!bun.lock\n\n*.lock\n"}, want: []string{"copy-ignored Dockerfile:2"}, says: ".dockerignore:4"},
		{name: "let in by an exception", tree: map[string]string{"Dockerfile": "FROM a\nCOPY bun.lock ./\n", "bun.lock": "", ".dockerignore": "*\n!bun.lock\n"}},
		{name: "ignored by the Dockerfile's own file", tree: map[string]string{"Dockerfile": "FROM a\nCOPY bun.lock ./\n", "bun.lock": "", "Dockerfile.dockerignore": "bun.lock\n", ".dockerignore": ""}, want: []string{"copy-ignored Dockerfile:2"}, says: "Dockerfile.dockerignore:1"},
		{name: "a list in single quotes", tree: map[string]string{"Dockerfile": "FROM a\nCMD ['bun', 'x']\n"}, want: []string{"dockerfile-exec-form Dockerfile:2"}, says: "[bun,"},
		{name: "a list with a comma at the end", tree: map[string]string{"Dockerfile": "FROM a\nENTRYPOINT [\"/w\",]\n"}, want: []string{"dockerfile-exec-form Dockerfile:2"}, says: "[/w,]"},
		{name: "a test", tree: map[string]string{"Dockerfile": "FROM a\nRUN [ -f x ] && y\nCMD [\"a\"]\n"}},
		{name: "reported once for two platforms", tree: map[string]string{"Dockerfile": "FROM a\nCOPY gone /\n"}, req: Request{Platforms: []string{"linux/arm64", "linux/amd64"}}, want: []string{"copy-missing Dockerfile:2"}},
		{name: "ignore file cannot be read", tree: map[string]string{"Dockerfile": "FROM a\n", ".dockerignore": "[\n"}, want: []string{"dockerignore"}},
		{name: "paths that climb stay within", tree: map[string]string{"Dockerfile": "FROM a\nCOPY ../../here /x\n", "here": ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := tt.req
			req.Dir = files(t, tt.tree)
			req.Context, req.Dockerfile = req.Dir, filepath.Join(req.Dir, "Dockerfile")
			if req.Platforms == nil {
				req.Platforms = []string{"linux/arm64"}
			}
			found := CheckDockerfile(req)
			if d := cmp.Diff(tt.want, codesOf(found)); d != "" {
				t.Error(d, found)
			}
			if tt.says != "" && (len(found) == 0 || !strings.Contains(found[0].Error(), tt.says)) {
				t.Errorf("%v does not say %q", found, tt.says)
			}
		})
	}
	dir := files(t, map[string]string{"file": ""})
	for _, c := range []string{filepath.Join(dir, "none"), filepath.Join(dir, "file")} {
		if d := cmp.Diff([]string{"context-missing"}, codesOf(CheckDockerfile(Request{Context: c}))); d != "" {
			t.Error(d)
		}
	}
	if d := cmp.Diff([]string{"dockerfile-missing " + dir}, codesOf(CheckDockerfile(Request{Context: dir, Dockerfile: dir}))); d != "" {
		t.Error(d)
	}
}

// TestNearAbove checks a file in the repository's root, which is outside a
// context below it.
func TestNearAbove(t *testing.T) {
	dir := files(t, map[string]string{"apps/web/Dockerfile": "", "yarn.lock": ""})
	req := Request{Dir: dir, Context: filepath.Join(dir, "apps", "web")}
	if got := near(req, "bun.lock"); got != "there is ../../yarn.lock, outside the build context" {
		t.Errorf("near = %q", got)
	}
	if got := near(Request{Context: req.Context}, "bun.lock"); got != "" {
		t.Errorf("near = %q outside of any repository", got)
	}
}

func TestCheckPlatforms(t *testing.T) {
	const run = "FROM a AS deps\nRUN x\nFROM b\nCOPY --from=deps x y\n"
	for _, tt := range []struct {
		name, dockerfile string
		can              []string
		want             []string
	}{
		{"listed", run, []string{"linux/amd64", "linux/arm64"}, nil},
		{"listed with the usual variant", run, []string{"linux/amd64", "linux/arm64/v8"}, nil},
		{"not listed", run, []string{"linux/amd64"}, []string{"builder-platform Dockerfile:2"}},
		{"not listed and not needed", "FROM a\nCOPY x y\n", []string{"linux/amd64"}, nil},
		{"runs for the builder alone", "FROM --platform=$BUILDPLATFORM a AS deps\nRUN x\nFROM b\nCOPY --from=deps x y\n", []string{"linux/amd64"}, nil},
		{"runs in a stage above one for the builder", "FROM --platform=${BUILDPLATFORM} a AS one\nFROM one AS deps\nRUN x\nFROM b\nCOPY --from=deps x y\n", []string{"linux/amd64"}, nil},
		{"runs in a stage that is not built", "FROM a\nRUN x\nFROM b\n", []string{"linux/amd64"}, nil},
		{"a builder that does not say", run, nil, nil},
		{"no Dockerfile to read", "# syntax=other\n", []string{"linux/amd64"}, []string{"builder-platform"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := files(t, map[string]string{"Dockerfile": tt.dockerfile})
			found := checkPlatforms("it", tt.can, request(t, dir), pipeline.Error)
			if d := cmp.Diff(tt.want, codesOf(found)); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestLocalPlatforms(t *testing.T) {
	dir := files(t, map[string]string{"qemu-s390x": "enabled\ninterpreter /usr/bin/qemu-s390x-static\n", "qemu-riscv64": "disabled\n", "register": ""})
	got := strings.Join(localPlatforms(dir), " ")
	if !strings.Contains(got, "linux/s390x") || strings.Contains(got, "riscv64") {
		t.Errorf("platforms = %s", got)
	}
}

func TestCheckContext(t *testing.T) {
	tree := map[string]string{
		"Dockerfile":   "FROM a AS x\nCOPY package.json ./\nCOPY src/ src/\nRUN --mount=type=bind,source=tools,target=/t y\nFROM b\nCOPY --from=x /app /app\n",
		"package.json": "12345", "src/a.ts": "123", "src/node_modules/n/n.node": "native", "src/.env": "SECRET=1", "src/big": strings.Repeat("x", 1000),
		"tools/t": "1", ".git/HEAD": "x", "huge/not/copied": strings.Repeat("x", 5000), ".dockerignore": "huge\n",
	}
	dir := files(t, tree)
	req := request(t, dir)
	size, found, err := CheckContext(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"context-modules src/node_modules", "context-env src/.env"}, codesOf(found)); d != "" {
		t.Error(d)
	}
	if size.Files != 6 || size.Bytes != 5+3+6+8+1000+1 || size.More {
		t.Errorf("size = %+v", size)
	}
	if d := cmp.Diff([]ContextEntry{{"src/big", 1000}, {"src/.env", 8}, {"src/node_modules", 6}, {"package.json", 5}, {"src/a.ts", 3}}, size.Largest); d != "" {
		t.Error(d)
	}

	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("Dockerfile", "FROM a\nCOPY . .\n")
	if _, found, err = CheckContext(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"context-git .git", "context-modules src/node_modules", "context-env src/.env"}, codesOf(found)); d != "" {
		t.Error(d)
	}
	write(".dockerignore", ".git\n**/node_modules\n**/.env\nhuge\n!huge/not\n")
	if size, found, err = CheckContext(t.Context(), req); err != nil || len(found) != 0 {
		t.Errorf("findings = %v, %v", found, err)
	}
	if size.Bytes < 5000 {
		t.Errorf("the exception was not counted: %+v", size)
	}
}

func TestCheckContextHuge(t *testing.T) {
	dir := files(t, map[string]string{"Dockerfile": "FROM a\nCOPY . .\n"})
	f, err := os.Create(filepath.Join(dir, "video"))
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(hugeBytes + 1); err != nil { // takes no room on the disk
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	size, found, err := CheckContext(t.Context(), request(t, dir))
	if err != nil || len(found) != 1 || found[0].Code != "context-huge" {
		t.Fatalf("findings = %v, %v", found, err)
	}
	if got := fmt.Sprint(found[0].Evidence); !strings.Contains(got, "video") || !strings.Contains(size.String(), "in 2 files") {
		t.Errorf("evidence = %s, size = %s", got, size)
	}
}

func TestCheckDisk(t *testing.T) {
	found, err := CheckDisk(filepath.Join(t.TempDir(), "not", "there"), 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		t.Logf("this machine: %v", f)
	}
	const gb = 1 << 30
	for _, tt := range []struct {
		free, expect int64
		want         string
	}{
		{10 * gb, 0, ""}, {gb, 0, "warning"}, {gb / 8, 0, "error"},
		{10 * gb, 4 * gb, ""}, {6 * gb, 4 * gb, "warning"}, {4 * gb, 4 * gb, "error"}, {gb, 100 << 20, ""},
	} {
		got := ""
		for _, f := range judgeRoom("/d", uint64(tt.free), tt.expect) {
			got = f.Severity.String()
		}
		if got != tt.want {
			t.Errorf("free %d, expected %d: %q, want %q", tt.free, tt.expect, got, tt.want)
		}
	}
}
