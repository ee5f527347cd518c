package build

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// speaker is a program that prints its arguments like a compiler or package
// manager does, and exits with the code in the last one.
const speaker = `package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
)

func main() {
	if os.Args[1] == "secret" {
		b, err := os.ReadFile("/run/secrets/" + os.Args[2])
		fmt.Println("secret is", strings.ToUpper(string(b)), err)
	}
	fmt.Println("on " + runtime.GOARCH)
	fmt.Print("downloading 1%\rdownloading 100%\n")
	fmt.Fprint(os.Stderr, "\x1b[31merror:\x1b[0m it \u202ebroke\a\n")
	code, err := strconv.Atoi(os.Args[len(os.Args)-1])
	if err != nil {
		code = 9
	}
	os.Exit(code)
}
`

// compileSpeaker compiles the program for arch into dir.
func compileSpeaker(t *testing.T, dir, arch string) {
	t.Helper()
	src := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(src, []byte(speaker), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "say-"+arch), src)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// steps checks what a builder must do with steps that run something on the
// machine's own platform.
func steps(t *testing.T, b Builder, can traits) {
	native := "linux/" + runtime.GOARCH
	bin := t.TempDir()
	compileSpeaker(t, bin, runtime.GOARCH)
	context := func(t *testing.T, run string) Request {
		t.Helper()
		dir := files(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY say-" + runtime.GOARCH + " /say\n" + run + "\n"})
		if err := os.Link(filepath.Join(bin, "say-"+runtime.GOARCH), filepath.Join(dir, "say-"+runtime.GOARCH)); err != nil {
			t.Fatal(err)
		}
		req := request(t, dir)
		req.Platforms = []string{native}
		return req
	}

	t.Run("failing step", func(t *testing.T) {
		var h heard
		_, err := b.Build(t.Context(), context(t, `RUN ["/say", "x", "7"]`), h.reporter())
		f, ok := errors.AsType[*pipeline.Finding](err)
		if !ok || f.Code != "build-step" || !strings.Contains(f.What, "/say") || f.Where != "Dockerfile:3" {
			t.Fatalf("err = %+v", err)
		}
		// The order of a process's two streams is undefined, and buildah's isolation
		// prints a line of its own.
		for _, want := range []string{"on " + runtime.GOARCH, "downloading 100%", "error: it broke"} {
			if !slices.Contains(f.Evidence, want) {
				t.Errorf("evidence %q lacks %q", f.Evidence, want)
			}
		}
		if !strings.Contains(f.Why, "7") {
			t.Errorf("why = %q does not name the exit code", f.Why)
		}
	})

	t.Run("secret", func(t *testing.T) {
		if !can.secrets {
			return // and says so in Check
		}
		req := context(t, `RUN --mount=type=secret,id=npm ["/say", "secret", "npm", "0"]`)
		req.NoCache = true
		for _, secret := range []string{"id=npm,env=SBW_TEST_SECRET", "id=npm,src=file"} {
			req.Secrets = []string{secret}
			if err := os.WriteFile(filepath.Join(req.Context, "file"), []byte("hush"), 0o600); err != nil {
				t.Fatal(err)
			}
			var h heard
			if _, err := b.Build(t.Context(), req, h.reporter()); err != nil {
				t.Fatal(err)
			}
			if said := strings.Join(h.texts(pipeline.Detailed), "\n"); !strings.Contains(said, "secret is HUSH <nil>") {
				t.Errorf("%s: %s", secret, said)
			}
		}
	})
}

// emulated runs a step for arm64 wherever the test runs: with the kernel's
// emulator, or with the one that buildkitd finds as in its own image.
func emulated(t *testing.T, b Builder) {
	dir := files(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY say-arm64 /say\nRUN [\"/say\", \"x\", \"0\"]\n"})
	compileSpeaker(t, dir, "arm64")
	req := request(t, dir)
	req.NoCache = true // the step has to run, even if the engine has it in its cache
	found, err := b.Check(t.Context(), req)
	if err != nil || refuses(found) {
		t.Fatalf("findings = %v, %v", found, err)
	}
	var h heard
	if _, err := b.Build(t.Context(), req, h.reporter()); err != nil {
		t.Fatal(err)
	}
	if said := fmt.Sprint(h.texts(pipeline.Detailed)); !strings.Contains(said, "on arm64") {
		t.Errorf("said %s", said)
	}
}
