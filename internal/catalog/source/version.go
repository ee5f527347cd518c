package source

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Version returns the version of an npm package that a file of the program
// would import, as precisely as it is known. It is the installed version, or else
// the one in a lock file, or else the one that package.json or an import map
// requests, which may be a range. It is empty if none of them names the package.
func (p *Program) Version(from, name string) string {
	key := [2]string{filepath.Dir(from), name}
	p.mu.Lock()
	version, ok := p.versions[key]
	p.mu.Unlock()
	if ok {
		return version
	}
	version = p.space.version(key[0], name)
	p.mu.Lock()
	p.versions[key] = version
	p.mu.Unlock()
	return version
}

// Major returns the major version of an npm package that a file of the program
// would import, or 0 if it is not known.
func (p *Program) Major(from, name string) int { return firstNumber(p.Version(from, name)) }

func (w *workspace) version(dir, name string) string {
	asked, locked := "", ""
	for at := dir; ; at = filepath.Dir(at) {
		if v := installedVersion(at, name); v != "" {
			return v
		}
		if asked == "" {
			if m := w.manifest(at); m != nil {
				asked = m.requested(name)
			}
		}
		if locked == "" {
			locked = lockedVersion(at, name)
		}
		if at == filepath.Dir(at) || at == w.root {
			break
		}
	}
	switch {
	case asked == "":
		_, _, asked = w.Package(dir, name)
	case locked != "" && (firstNumber(asked) == 0 || firstNumber(asked) == firstNumber(locked)):
		return locked
	}
	return asked
}

func installedVersion(dir, name string) string {
	var m struct{ Version string }
	b, err := os.ReadFile(filepath.Join(dir, "node_modules", filepath.FromSlash(name), "package.json"))
	if err != nil || json.Unmarshal(b, &m) != nil {
		return ""
	}
	return m.Version
}

// lockedVersion returns the only version of a package that a lock file names:
// of npm, pnpm, Yarn, Bun or Deno.
func lockedVersion(dir, name string) string {
	n := regexp.QuoteMeta(name)
	exact := `([0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*)`
	for file, pattern := range map[string]string{
		"package-lock.json": `"(?:node_modules/)?` + n + `":\s*\{\s*"version":\s*"` + exact,
		"bun.lock":          `"` + n + `@` + exact,
		"pnpm-lock.yaml":    `(?m)^\s+'?/?` + n + `[@/]` + exact,
		"yarn.lock":         `(?m)^"?` + n + `@[^\n]*:\n\s+version:? "?` + exact,
		"deno.lock":         `"` + n + `@` + exact,
	} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			continue
		}
		found := ""
		for _, m := range regexp.MustCompile(pattern).FindAllSubmatch(text, -1) {
			if found != "" && found != string(m[1]) {
				return "" // there are several, and the one that a file would get is not known
			}
			found = string(m[1])
		}
		if found != "" {
			return found
		}
	}
	return ""
}

// firstNumber returns the major version of a version or of a range such as
// ^3.5.1, ~4 or 4.x. It returns 0 for a range over several major versions,
// "workspace:*", a tag or a URL.
func firstNumber(version string) int {
	if strings.ContainsAny(version, ":/<|* ") && !strings.HasPrefix(version, "npm:") || strings.HasPrefix(version, ">") {
		return 0
	}
	if i := strings.LastIndexByte(version, '@'); strings.HasPrefix(version, "npm:") && i >= 0 {
		version = version[i+1:]
	}
	version = strings.TrimLeft(version, "^~=v")
	digits, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(digits)
	if err != nil {
		return 0
	}
	return n
}
