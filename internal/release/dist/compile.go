package dist

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

const stamped = "github.com/joelhooks/gh-sbw/internal/release."

// notInlined are the modules that are compiled without inlining. This keeps gh-sbw
// below its limit: esbuild makes it 0.8 MB smaller and parses slightly slower, and the
// others, which wait for servers, read small files or draw lines, 0.12 MB.
var notInlined = []string{
	"github.com/evanw/esbuild",
	"github.com/charmbracelet",
	"github.com/cli",
	"github.com/docker",
	"github.com/google/go-containerregistry",
	"github.com/moby",
	"github.com/sirupsen",
	"github.com/spf13",
	"go.yaml.in",
	"gopkg.in",
}

// compile builds one plugin for one target and checks that the result matches
// the request.
func compile(ctx context.Context, o Options, plugin string, t Target, bin string) error {
	ldflags := []string{"-s", "-w"}
	stamp := func(name, value string) {
		if value != "" {
			ldflags = append(ldflags, "-X", stamped+name+"="+value)
		}
	}
	stamp("version", o.Version)
	stamp("commit", o.Commit)
	if o.Dirty {
		stamp("dirty", "true")
	}
	stamp("built", o.Date.Format(time.RFC3339))
	args := []string{"build", "-trimpath", "-buildvcs=false", "-mod=readonly"}
	for _, module := range notInlined {
		args = append(args, "-gcflags="+module+"/...=-l")
	}
	args = append(args, "-ldflags", strings.Join(ldflags, " "), "-o", bin, "./cmd/"+plugin)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = o.Root
	cmd.Env = environment(os.Environ(), t)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s for %s: %w\n%s", plugin, t, err, said.String())
	}
	if err := verify(bin, t); err != nil {
		return err
	}
	fi, err := os.Stat(bin)
	if err != nil {
		return err
	}
	return weigh(plugin, t, fi.Size())
}

// most is the maximum size of each plugin in bytes. gh-sbw is downloaded for
// every installation and upgrade, and started for every completion.
var most = map[string]int64{GH: 16_000_000, Kubectl: 38_000_000}

// weigh fails if a plugin is larger than its limit.
func weigh(plugin string, t Target, size int64) error {
	if size <= most[plugin] {
		return nil
	}
	return fmt.Errorf("%s for %s has %d bytes, but the limit is %d: `go tool nm -size -sort size` shows what is large; "+
		"a template (cobra's SetUsageTemplate) or another reflect.Value.MethodByName prevents the linker from dropping unused code",
		plugin, t, size, most[plugin])
}

// environment returns the builder's environment without the variables that
// would change the result.
func environment(env []string, t Target) []string {
	set := []string{
		"CGO_ENABLED=0", "GOOS=" + t.OS, "GOARCH=" + t.Arch,
		// These are the oldest processors that the platforms support.
		"GOAMD64=v1", "GOARM64=v8.0",
		"GOFLAGS=", "GOEXPERIMENT=", "GOFIPS140=off", "GOWORK=off",
	}
	var kept []string
	for _, entry := range env {
		name, _, _ := strings.Cut(entry, "=")
		over := false
		for _, s := range set {
			over = over || strings.HasPrefix(s, name+"=")
		}
		if !over {
			kept = append(kept, entry)
		}
	}
	return append(kept, set...)
}

// verify reads from the binary how it was built, and checks it.
func verify(bin string, t Target) error {
	info, err := buildinfo.ReadFile(bin)
	if err != nil {
		return err
	}
	want := map[string]string{"CGO_ENABLED": "0", "GOOS": t.OS, "GOARCH": t.Arch, "-trimpath": "true"}
	for _, s := range info.Settings {
		if w, ok := want[s.Key]; ok && s.Value == w {
			delete(want, s.Key)
		}
	}
	for key, value := range want {
		return fmt.Errorf("%s was not built with %s=%s", bin, key, value)
	}
	return nil
}
