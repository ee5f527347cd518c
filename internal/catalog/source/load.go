package source

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/evanw/esbuild/pkg/api"
)

// Options describe what to load.
type Options struct {
	// Root is the root of the workspace. The names of modules are relative to
	// it.
	Root string
	// Words are identifiers. A module that mentions one is parsed in advance.
	Words []string
	// Package is an npm package that is never read. A module that imports it
	// counts as mentioning it.
	Package string
}

// Target is what an import specifier resolves to.
type Target struct {
	// Path is the module's file, or empty.
	Path string
	// Package is the external package if the module is not to be read, and
	// Specifier is the plain specifier for the same module: "inngest/hono" for
	// "npm:inngest@4/hono".
	Package, Specifier string
	// Missing describes why no module was found.
	Missing string
}

// Program is a set of modules with the targets of their imports. All methods
// except Add may be used concurrently.
type Program struct {
	root  string
	words [][]byte
	pkg   string // Options.Package
	space *workspace
	slots chan struct{} // limits concurrent parsing, and with it memory

	mu       sync.Mutex
	files    map[string]*file
	bare     map[[2]string]string // resolved workspace imports, keyed by directory and specifier
	versions map[[2]string]string // versions of packages, keyed by directory and name
}

type file struct {
	path    string
	src     []byte
	err     error
	scan    scan
	extra   []string           // specifiers that the lexer did not find
	choices map[string]*choice // by specifier
	targets map[string]Target

	parse  sync.Once
	module *Module
	bad    error
}

// New makes a program without modules.
func New(o Options) (*Program, error) {
	root, err := filepath.Abs(o.Root)
	if err != nil {
		return nil, err
	}
	if root, err = filepath.EvalSymlinks(root); err != nil {
		return nil, err
	}
	p := &Program{
		root:     root,
		pkg:      o.Package,
		space:    findWorkspace(root),
		slots:    make(chan struct{}, runtime.GOMAXPROCS(0)),
		files:    map[string]*file{},
		bare:     map[[2]string]string{},
		versions: map[[2]string]string{},
	}
	for _, w := range o.Words {
		p.words = append(p.words, []byte(w))
	}
	return p, nil
}

// Root returns the absolute path of the workspace with links resolved.
func (p *Program) Root() string { return p.root }

// Rel returns the name of a file for people: relative to the root, with
// slashes.
func (p *Program) Rel(path string) string {
	if rel, err := filepath.Rel(p.root, path); err == nil {
		return filepath.ToSlash(rel)
	}
	return path
}

// Add walks everything that the entries (absolute paths) lead to. An import
// that cannot be resolved is not an error here; Resolve reports it.
func (p *Program) Add(ctx context.Context, entries ...string) error {
	if len(entries) == 0 {
		return nil
	}
	result := api.Build(api.BuildOptions{
		Stdin:         &api.StdinOptions{Contents: imports(entries), ResolveDir: p.root, Loader: api.LoaderJS},
		AbsWorkingDir: p.root,
		Bundle:        true,
		Format:        api.FormatESModule,
		Platform:      api.PlatformNode,
		// The worker runs on Bun, which tries this condition first
		// (bun.sh/docs/runtime/modules).
		Conditions:        []string{"bun"},
		ResolveExtensions: []string{".tsx", ".ts", ".mts", ".cts", ".jsx", ".js", ".mjs", ".cjs", ".json"},
		Metafile:          true,
		AbsPaths:          api.MetafileAbsPath,
		LogLevel:          api.LogLevelSilent,
		Plugins:           []api.Plugin{{Name: "source", Setup: func(b api.PluginBuild) { p.plug(ctx, b) }}},
	})
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if len(result.Errors) > 0 {
		return fmt.Errorf("resolving imports: %s", result.Errors[0].Text)
	}
	return p.keepTargets(result.Metafile)
}

// imports returns a module that imports each specifier in a form that esbuild
// resolves and follows, and that does not cause an error if there is no such
// module.
func imports(specifiers []string) string {
	var b strings.Builder
	for _, s := range specifiers {
		b.WriteString("import(" + strconv.Quote(s) + ").catch(()=>0);\n")
	}
	return b.String()
}

// guard marks the resolutions that the plugin itself requests.
type guard struct{}

func (p *Program) plug(ctx context.Context, b api.PluginBuild) {
	b.OnResolve(api.OnResolveOptions{Filter: `^[^./]`}, func(a api.OnResolveArgs) (api.OnResolveResult, error) {
		if _, mine := a.PluginData.(guard); mine {
			return api.OnResolveResult{}, nil
		}
		if name, _, _ := p.space.Package(a.ResolveDir, a.Path); name == p.pkg && name != "" {
			return api.OnResolveResult{Path: a.Path, External: true}, nil
		}
		if to, in := p.space.mapped(a.ResolveDir, a.Path); strings.HasPrefix(to, ".") {
			r := b.Resolve(to, api.ResolveOptions{ResolveDir: in, Importer: a.Importer, Kind: api.ResolveJSImportStatement, PluginData: guard{}})
			if len(r.Errors) == 0 && r.Namespace == "file" {
				return api.OnResolveResult{Path: r.Path, External: r.External}, nil
			}
		}
		if !p.mayBeLocal(a) {
			return api.OnResolveResult{}, nil
		}
		return api.OnResolveResult{Path: p.resolveLocal(b, a)}, nil
	})
	b.OnLoad(api.OnLoadOptions{Filter: `.*`, Namespace: "file"}, func(a api.OnLoadArgs) (api.OnLoadResult, error) {
		if ctx.Err() != nil {
			return api.OnLoadResult{}, context.Cause(ctx)
		}
		contents := ""
		if !isExternal(a.Path) {
			f := p.read(a.Path)
			if f.scan.mentions {
				p.parse(f)
			}
			contents = imports(append(f.scan.specifiers, f.extra...))
		}
		return api.OnLoadResult{Contents: &contents, Loader: api.LoaderJS}, nil
	})
}

func isExternal(path string) bool {
	return strings.Contains(filepath.ToSlash(path), "/node_modules/")
}

// mayBeLocal reports whether a bare import may refer to a package of the
// workspace or to a linked package. All others are left to esbuild.
func (p *Program) mayBeLocal(a api.OnResolveArgs) bool {
	name, _ := splitSpecifier(a.Path)
	if _, ok := p.space.dirs[name]; ok {
		return true
	}
	dir, _ := p.space.linked(a.ResolveDir, name)
	return dir != ""
}

// resolveLocal resolves like esbuild. If nothing is installed, it uses the
// name of the package: esbuild resolves a package's own name from within the
// package (self-reference) if it has `exports`, and as a directory otherwise.
func (p *Program) resolveLocal(b api.PluginBuild, a api.OnResolveArgs) string {
	key := [2]string{a.ResolveDir, a.Path}
	p.mu.Lock()
	known, ok := p.bare[key]
	p.mu.Unlock()
	if ok {
		return known
	}
	name, rest := splitSpecifier(a.Path)
	try := func(spec, dir string) string {
		r := b.Resolve(spec, api.ResolveOptions{ResolveDir: dir, Importer: a.Importer, Kind: api.ResolveJSImportStatement, PluginData: guard{}})
		if len(r.Errors) > 0 || r.External || r.Namespace != "file" {
			return ""
		}
		return r.Path
	}
	found := try(a.Path, a.ResolveDir)
	linked, _ := p.space.linked(a.ResolveDir, name)
	for _, dir := range []string{p.space.dirs[name], linked} {
		if found == "" && dir != "" {
			if found = try(a.Path, dir); found == "" {
				found = try("./"+rest, dir)
			}
			for _, source := range p.space.sourcesOf(dir, rest) {
				if found == "" {
					found = try(source, dir)
				}
			}
		}
	}
	p.mu.Lock()
	p.bare[key] = found
	p.mu.Unlock()
	return found
}

// read reads and scans a file only once.
func (p *Program) read(path string) *file {
	p.mu.Lock()
	f, ok := p.files[path]
	p.mu.Unlock()
	if ok {
		return f
	}
	f = &file{path: path, targets: map[string]Target{}}
	if loaderOf(path) != api.LoaderNone {
		if f.src, f.err = os.ReadFile(path); f.err == nil {
			f.scan = scanModule(f.src, p.words)
			f.scan.mentions = f.scan.mentions || p.imports(f, p.pkg)
			p.choose(f)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if other, ok := p.files[path]; ok {
		return other
	}
	p.files[path] = f
	return f
}

type metafile struct {
	Inputs map[string]struct {
		Imports []struct {
			Path     string
			Original string
			External bool
		}
	}
}

func (p *Program) keepTargets(text string) error {
	// The outputs that follow are not needed here and longer than the inputs.
	if i := strings.LastIndex(text, "\n  \"outputs\": {"); i >= 0 {
		text = strings.TrimRight(text[:i], ", \n") + "}"
	}
	var meta metafile
	if err := json.NewDecoder(bytes.NewReader([]byte(text))).Decode(&meta); err != nil {
		return fmt.Errorf("esbuild's metafile: %w", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for path, in := range meta.Inputs {
		f, ok := p.files[filepath.FromSlash(path)]
		if !ok {
			continue
		}
		for _, i := range in.Imports {
			spec, target := i.Original, Target{Path: filepath.FromSlash(i.Path)}
			switch {
			case i.External || i.Original == "":
				spec, target = i.Path, p.external(f.path, i.Path)
			case isExternal(i.Path):
				name, _ := splitSpecifier(spec)
				target = Target{Package: name}
			}
			if c := f.choices[spec]; c != nil {
				target = Target{Missing: c.why}
			}
			f.targets[spec] = target
		}
	}
	return nil
}

// external describes what esbuild did not find or must not read.
func (p *Program) external(from, spec string) Target {
	switch {
	case strings.HasPrefix(spec, "node:") || strings.HasPrefix(spec, "bun:"):
		return Target{Package: spec}
	case strings.HasPrefix(spec, ".") || filepath.IsAbs(spec):
		return Target{Missing: fmt.Sprintf("the module %q cannot be found", spec)}
	}
	name, sub, _ := p.space.Package(filepath.Dir(from), spec)
	t := Target{Package: name, Specifier: strings.TrimSuffix(name+"/"+sub, "/")}
	if dir, says := p.space.linked(filepath.Dir(from), name); dir != "" {
		t.Missing = fmt.Sprintf("the package %q is linked from outside the repository (%s), where sbw does not read anything", name, says)
	} else if dir, ok := p.space.dirs[name]; ok {
		t.Missing = fmt.Sprintf("the workspace package %q (%s) has no file for it", name, p.Rel(dir))
	}
	return t
}

// Resolve returns the target of a specifier in a module.
func (p *Program) Resolve(ctx context.Context, from, spec string) (Target, error) {
	f := p.read(from)
	p.mu.Lock()
	t, ok := f.targets[spec]
	p.mu.Unlock()
	if ok {
		return t, nil
	}
	f.extra = append(f.extra, spec)
	if err := p.Add(ctx, from); err != nil {
		return Target{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if t, ok = f.targets[spec]; !ok {
		return Target{Missing: fmt.Sprintf("the module %q cannot be found", spec)}, nil
	}
	return t, nil
}
