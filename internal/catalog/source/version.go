package source

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Major is the major version of an npm package as a file of the program would
// import it: of what is installed, else of what package.json asks for. It is 0
// where neither says.
func (p *Program) Major(from, name string) int {
	key := [2]string{filepath.Dir(from), name}
	p.mu.Lock()
	major, ok := p.majors[key]
	p.mu.Unlock()
	if ok {
		return major
	}
	major = p.space.major(key[0], name)
	p.mu.Lock()
	p.majors[key] = major
	p.mu.Unlock()
	return major
}

func (w *workspace) major(dir, name string) int {
	for {
		if b, err := os.ReadFile(filepath.Join(dir, "node_modules", filepath.FromSlash(name), "package.json")); err == nil {
			var m struct{ Version string }
			if json.Unmarshal(b, &m) == nil {
				return firstNumber(m.Version)
			}
		}
		if m := w.manifest(dir); m != nil {
			for _, deps := range []map[string]string{m.Dependencies, m.Dev, m.Optional, m.Peer} {
				if version, ok := deps[name]; ok {
					return firstNumber(version)
				}
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir || dir == w.root {
			return 0
		}
		dir = parent
	}
}

// firstNumber is the major version of a version or of a range such as ^3.5.1,
// ~4 or 4.x. Of a range over several majors, "workspace:*", a tag or a URL it
// cannot be told.
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
