// Package release determines the version of this program, and whether a newer one
// has been released.
//
// The version of the running program comes from one of two places: the linker
// (package dist sets the variables below when it makes a release), or, for any other
// build (go build, go install), Go's build information. The package imports only the
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

// The linker (-X) sets these variables: the release's tag, the commit that it is
// built from, "true" if the checkout had changes on top of that commit, and the
// date of the build (RFC 3339). They are never written to.
var version, commit, dirty, built string

// libraries lists the modules that determine how the plugins talk to servers,
// because their versions are the first thing to know about a bug report.
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
	Libraries map[string]string `json:"libraries,omitempty"` // versions by module
}

// Version returns what the linker or the build information says.
func Version() Info {
	stamped := Info{Version: version, Commit: commit, Dirty: dirty == "true", Built: built}
	build, _ := debug.ReadBuildInfo() // never nil with current versions of Go
	return describe(stamped, build)
}

// describe takes from the build information what the linker did not set.
func describe(i Info, build *debug.BuildInfo) Info {
	i.Go, i.Platform = runtime.Version(), runtime.GOOS+"/"+runtime.GOARCH
	if build != nil {
		if i.Version == "" && build.Main.Version != "(devel)" {
			// This is a tag with go install module@version, or a pseudo-version that go
			// build derives from a git checkout.
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
