// Package release knows which version this program is, and whether a newer one
// has been released.
//
// The version of the running program comes from one of two places: the linker
// (package dist sets the variables below when it makes a release), or, for any other
// build (go build, go install), Go's build information. The package links only the
// standard library, so both plugins can use it before anything else.
package release

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Repository is where releases are published.
const Repository = "joelhooks/gh-sbw"

// Set by the linker (-X) and never written to: a release's tag, the commit it
// is built from, "true" when the checkout had changes beside that commit, and
// the time that the build is dated to (RFC 3339).
var version, commit, dirty, built string

// libraries are the modules that determine how the plugins talk to servers,
// which is the first thing to know when reading a bug report.
var libraries = [...]string{
	"github.com/cli/go-gh/v2",
	"github.com/google/go-containerregistry",
	"k8s.io/client-go",
	"k8s.io/kubectl",
}

// Devel is the version of a program that is not a release.
const Devel = "devel"

// Info describes the running program.
type Info struct {
	Version   string            `json:"version"`
	Commit    string            `json:"commit,omitempty"`
	Dirty     bool              `json:"dirty,omitempty"`
	Built     string            `json:"built,omitempty"`
	Go        string            `json:"go"`
	Platform  string            `json:"platform"`
	Libraries map[string]string `json:"libraries,omitempty"` // those of them that are linked
}

// Version returns what the linker or the build information says.
func Version() Info {
	stamped := Info{Version: version, Commit: commit, Dirty: dirty == "true", Built: built}
	build, _ := debug.ReadBuildInfo() // nil without module support, which no current Go lacks
	return describe(stamped, build)
}

// describe fills in what the linker did not set from the build information.
func describe(i Info, build *debug.BuildInfo) Info {
	i.Go, i.Platform = runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH
	if build != nil {
		if i.Version == "" && build.Main.Version != "(devel)" {
			// A tag, with go install module@version, or a pseudo-version, which
			// go build derives from a git checkout.
			i.Version = build.Main.Version
		}
		for _, s := range build.Settings {
			switch {
			case s.Key == "vcs.revision" && i.Commit == "":
				i.Commit = s.Value
			case s.Key == "vcs.modified" && s.Value == "true":
				i.Dirty = true
			case s.Key == "vcs.time" && i.Built == "":
				i.Built = s.Value
			}
		}
		i.Libraries = linked(build.Deps)
	}
	if i.Version == "" {
		i.Version = Devel
	}
	return i
}

func linked(deps []*debug.Module) map[string]string {
	found := map[string]string{}
	for _, m := range deps {
		for _, name := range libraries {
			if m.Path == name {
				if m.Replace != nil {
					m = m.Replace
				}
				found[name] = m.Version
			}
		}
	}
	return found
}

// Text returns what --version prints. plugin is how users call the program.
func (i Info) Text(plugin string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s\n", plugin, i.Version)
	row := func(name, value string) { fmt.Fprintf(&b, "  %-38s %s\n", name, value) }
	if i.Commit != "" {
		commit := i.Commit
		if i.Dirty {
			commit += ", with local changes"
		}
		row("commit", commit)
	}
	if i.Built != "" {
		row("dated", i.Built)
	}
	row("go", strings.TrimPrefix(i.Go, "go")+" "+i.Platform)
	for _, name := range libraries {
		if v, ok := i.Libraries[name]; ok {
			row(name, v)
		}
	}
	return b.String()
}
