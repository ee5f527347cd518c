package publish

import (
	"cmp"
	"context"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/joelhooks/gh-sbw/internal/build"
	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/catalog/reader"
	"github.com/joelhooks/gh-sbw/internal/checkout"
	"github.com/joelhooks/gh-sbw/internal/identity"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/push"
	"github.com/joelhooks/gh-sbw/internal/registry"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// DefaultRegistry is where images go unless something else is configured.
const DefaultRegistry = "ghcr.io"

// CodeCacheDir means that the machine has no cache directory.
const CodeCacheDir pipeline.Code = "cache-dir"

// Facts are shared by the checks and stages of all commands of gh sbw. Each fact
// is determined once, when it is first needed.
type Facts struct {
	o Options

	Identity   *pipeline.Lazy[*identity.Identity]
	Repository *pipeline.Lazy[imageref.Repository]
	Checkout   *pipeline.Lazy[checkout.State]
	// Functions lists what the sources register. The catalog is empty if they do not
	// use Inngest.
	Functions *pipeline.Lazy[*catalog.Catalog]

	pusher  *pipeline.Lazy[*push.Pusher]
	builder *pipeline.Lazy[chosenBuilder]
	kept    *pipeline.Lazy[*layout.Kept]
	given   *pipeline.Lazy[image] // the image in Options.Layout

	mu   sync.Mutex
	held *layout.Kept // the layout directory that kept has locked
}

type chosenBuilder struct {
	build.Builder
	found []*pipeline.Finding
}

// NewFacts returns the facts about what o describes.
func NewFacts(o Options) *Facts {
	f := &Facts{o: o}
	f.Checkout = pipeline.NewLazy(f.inspectCheckout)
	f.Identity = pipeline.NewLazy(f.findIdentity)
	f.Repository = pipeline.NewLazy(f.findRepository)
	f.Functions = pipeline.NewLazy(func(ctx context.Context) (*catalog.Catalog, error) {
		return reader.Read(ctx, reader.Options{Root: o.Root, Indexes: o.Worker.Catalog.Indexes, Others: o.otherIndexes()})
	})
	f.pusher = pipeline.NewLazy(f.newPusher)
	f.builder = pipeline.NewLazy(f.findBuilder)
	f.kept = pipeline.NewLazy(f.keep)
	f.given = pipeline.NewLazy(f.openLayout)
	return f
}

func (f *Facts) inspectCheckout(ctx context.Context) (checkout.State, error) {
	holders := f.holders(ctx)
	env := slices.DeleteFunc(slices.Clone(f.o.Environ), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(holders, name)
	})
	return checkout.Inspect(ctx, checkout.Options{Dir: f.o.Root, Env: env, Own: f.o.own})
}

// own reports whether r is the image repository of a worker in this checkout,
// whose manifests a rollout updates.
func (o Options) own(r imageref.Repository) bool {
	if r.IsZero() || r == o.Repository {
		return r == o.Repository && !r.IsZero()
	}
	return slices.ContainsFunc(append(o.Siblings, o.Worker), func(w worker.Worker) bool {
		if w.Image.IsZero() {
			return r.Registry == DefaultRegistry && path.Base(r.Path) == w.Name
		}
		return r == w.Image
	})
}

// otherIndexes returns the first indexes of the other workers, which list what
// their images register, with the workers' names.
func (o Options) otherIndexes() map[string]string {
	others := map[string]string{}
	for _, w := range o.Siblings {
		if len(w.Catalog.Indexes) == 0 || w.Name == o.Worker.Name {
			continue
		}
		if index := path.Clean(w.Catalog.Indexes[0]); !slices.Contains(o.Worker.Catalog.Indexes, index) {
			others[index] = w.Name
		}
	}
	return others
}

// holders returns the names of the variables in which the user keeps the token.
// They are removed from the environment of every child process, unless the user
// names one as a build secret.
func (f *Facts) holders(ctx context.Context) []string {
	id, err := f.Identity.Get(ctx)
	if err != nil {
		return nil // there is no token, and the check of the identity reports why
	}
	return id.Holders(f.o.Environ)
}

func (f *Facts) findIdentity(ctx context.Context) (*identity.Identity, error) {
	return identity.Find(ctx, identity.Options{
		Registry: cmp.Or(f.o.Repository.Registry, DefaultRegistry),
		Command:  f.o.Worker.Credentials.Command, CommandRegistry: f.o.Worker.Image.Registry, Dir: f.o.Root,
	})
}

func (f *Facts) findRepository(ctx context.Context) (imageref.Repository, error) {
	if !f.o.Repository.IsZero() {
		return f.o.Repository, nil
	}
	owner := ""
	if state, err := f.Checkout.Get(ctx); err == nil && state.Remote.Host == identity.HostOf(DefaultRegistry) {
		owner = state.Remote.Owner
	}
	if owner == "" {
		id, err := f.Identity.Get(ctx)
		if err != nil {
			return imageref.Repository{}, err
		}
		account, err := id.Account(ctx)
		if err != nil {
			return imageref.Repository{}, err
		}
		owner = account.Login
	}
	return imageref.ParseRepository(DefaultRegistry + "/" + strings.ToLower(owner) + "/" + f.o.Worker.Name)
}

func (f *Facts) newPusher(ctx context.Context) (*push.Pusher, error) {
	repo, err := f.Repository.Get(ctx)
	if err != nil {
		return nil, err
	}
	id, err := f.Identity.Get(ctx)
	if err != nil {
		return nil, err
	}
	return push.New(push.Options{
		Repository: repo, Auth: id.Authenticator(), Credential: id.Source, ScopeRemedy: id.ScopeRemedy(), UserAgent: UserAgent,
	}), nil
}

// Registry returns a client that reads the repository with the user's credential.
func (f *Facts) Registry(ctx context.Context) (*registry.Client, error) {
	repo, err := f.Repository.Get(ctx)
	if err != nil {
		return nil, err
	}
	id, err := f.Identity.Get(ctx)
	if err != nil {
		return nil, err
	}
	return registry.New(repo, registry.Options{Auth: id.Authenticator(), Credential: id.Source, UserAgent: UserAgent}), nil
}

func (f *Facts) findBuilder(ctx context.Context) (chosenBuilder, error) {
	engine, found, err := build.Find(ctx, build.Options{Choose: f.o.Builder, Env: f.o.Environ, Withhold: f.holders(ctx)}, f.o.Build)
	return chosenBuilder{engine, found}, err
}

// keep locks the layout directory that this worker builds into.
func (f *Facts) keep(context.Context) (*layout.Kept, error) {
	base, err := f.o.CacheDir()
	if err != nil {
		return nil, pipeline.UsageErrorf(CodeCacheDir, "set HOME or XDG_CACHE_HOME", "there is no cache directory: %s", err)
	}
	k, err := layout.Keep(filepath.Join(base, "sbw"), f.o.Root, f.o.Worker.Name)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.held = k
	return k, err
}

// release unlocks the layout directory.
func (f *Facts) release(context.Context, *pipeline.Reporter) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.held == nil {
		return nil
	}
	k := f.held
	f.held = nil
	return k.Release()
}

// factsDir returns the directory that stores facts about the layers of a given
// layout. If it is empty, publishing is merely slower.
func (f *Facts) factsDir() string { return f.cached("facts") }

// ConfigsDir returns the directory that stores configs of published images. It
// may be empty, like factsDir.
func (f *Facts) ConfigsDir() string { return f.cached("configs") }

func (f *Facts) cached(name string) string {
	base, err := f.o.CacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(base, "sbw", name)
}

// Judge returns the problems of a catalog.
func (f *Facts) Judge(c *catalog.Catalog) []*pipeline.Finding {
	return catalog.Check(c, catalog.CheckOptions{
		ZeroRetries: f.o.Worker.Allow.ZeroRetries, Severity: f.o.Worker.Catalog.Checks, SameServer: true, Own: c.Own(),
	})
}
