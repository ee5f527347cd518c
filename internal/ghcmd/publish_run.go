package ghcmd

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/build"
	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/checkout"
	"github.com/joelhooks/gh-sbw/internal/identity"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/layout"
	"github.com/joelhooks/gh-sbw/internal/layout/runnable"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/push"
	"github.com/joelhooks/gh-sbw/internal/reuse"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// publish is one run: the options, and what checks and stages hand to each
// other.
type publish struct {
	*publishOptions

	identity *pipeline.Lazy[*identity.Identity]
	repo     *pipeline.Lazy[imageref.Repository]
	pusher   *pipeline.Lazy[*push.Pusher]
	state    *pipeline.Lazy[checkout.State]
	given    *pipeline.Lazy[string] // digest in --layout
	// functions are what the sources register.
	functions *pipeline.Lazy[*catalog.Catalog]

	kept *layout.Kept
	// built is the image before layers of it were replaced; rewritten says which.
	built     string
	rewritten reuse.Result
	engine    build.Builder
	dir       string // the layout
	digest    string
	verdict   runnable.Report
	pushed    *push.Result
	plan      *push.Plan
}

// pushStage is the only one that sends anything.
const pushStage = "push"

// pipeline is the whole command.
func (p *publish) pipeline() pipeline.Pipeline {
	p.lazies()
	list := pipeline.Pipeline{Name: "publish", Checks: []pipeline.Check{
		{Name: "identity", Run: p.checkIdentity},
		{Name: "registry", Run: p.checkRegistry},
		{Name: "git", Run: p.checkGit},
	}}
	if p.layout == "" {
		list.Checks = append(list.Checks,
			pipeline.Check{Name: "builder", Run: p.checkBuilder},
			pipeline.Check{Name: "Dockerfile", Run: p.checkDockerfile},
			pipeline.Check{Name: "disk", Run: p.checkDisk},
			pipeline.Check{Name: "functions", Run: p.checkCatalog},
		)
		list.Stages = append(list.Stages, pipeline.Stage{Name: "build", Run: p.build}, pipeline.Stage{Name: "verify", Run: p.verify})
	} else {
		list.Checks = append(list.Checks, pipeline.Check{Name: "image", Run: p.checkImage})
	}
	if p.dryRun {
		list.Stages = append(list.Stages, pipeline.Stage{Name: "plan", Run: p.look})
		return list
	}
	list.Stages = append(list.Stages, pipeline.Stage{Name: pushStage, Run: p.push})
	p.keepJournal(&list)
	return list
}

// lazies prepares the facts that checks and stages share.
func (p *publish) lazies() {
	p.state = pipeline.NewLazy(func(ctx context.Context) (checkout.State, error) {
		env := os.Environ()
		holders := p.holders(ctx, env)
		env = slices.DeleteFunc(env, func(kv string) bool {
			name, _, _ := strings.Cut(kv, "=")
			return slices.Contains(holders, name)
		})
		return checkout.Inspect(ctx, checkout.Options{Dir: p.root, Env: env})
	})
	p.identity = pipeline.NewLazy(p.findIdentity)
	p.repo = pipeline.NewLazy(p.findRepository)
	p.pusher = pipeline.NewLazy(p.newPusher)
	p.given = pipeline.NewLazy(p.openLayout)
	p.functions = pipeline.NewLazy(p.readCatalog)
}

// holders are the variables that hold the token under a name of the user's own:
// no child gets them, unless one is named as a build's secret.
func (p *publish) holders(ctx context.Context, environ []string) []string {
	id, err := p.identity.Get(ctx)
	if err != nil {
		return nil // there is no token, and the identity's own check says why
	}
	return id.Holders(environ)
}

// release lets go of the layout directory.
func (p *publish) release() error {
	if p.kept == nil {
		return nil
	}
	return p.kept.Release()
}

// defaultRegistry is where images go when nothing says otherwise.
const defaultRegistry = "ghcr.io"

// registryHost is known before the owner is.
func (p *publish) registryHost() string {
	return cmp.Or(p.repository.Registry, defaultRegistry)
}

func (p *publish) findIdentity(ctx context.Context) (*identity.Identity, error) {
	return identity.Find(ctx, identity.Options{
		Registry: p.registryHost(), Command: p.worker.Credentials.Command, CommandRegistry: p.worker.Image.Registry, Dir: p.root,
	})
}

// findRepository: --image or the configuration, else ghcr.io/OWNER/WORKER where
// the owner is the git remote's, or else the login.
func (p *publish) findRepository(ctx context.Context) (imageref.Repository, error) {
	if !p.repository.IsZero() {
		return p.repository, nil
	}
	owner := ""
	if state, err := p.state.Get(ctx); err == nil && state.Remote.Host == identity.HostOf(defaultRegistry) {
		owner = state.Remote.Owner
	}
	if owner == "" {
		id, err := p.identity.Get(ctx)
		if err != nil {
			return imageref.Repository{}, err
		}
		account, err := id.Account(ctx)
		if err != nil {
			return imageref.Repository{}, err
		}
		owner = account.Login
	}
	return imageref.ParseRepository(defaultRegistry + "/" + strings.ToLower(owner) + "/" + p.worker.Name)
}

func (p *publish) newPusher(ctx context.Context) (*push.Pusher, error) {
	repo, err := p.repo.Get(ctx)
	if err != nil {
		return nil, err
	}
	id, err := p.identity.Get(ctx)
	if err != nil {
		return nil, err
	}
	return push.New(push.Options{
		Repository: repo, Auth: id.Authenticator(), Credential: id.Source, ScopeRemedy: id.ScopeRemedy(), UserAgent: userAgent,
	}), nil
}

func (p *publish) openLayout(ctx context.Context) (string, error) {
	dir, digest, err := layout.Open(p.pathOr(p.layout, ""))
	if err == nil {
		dir, digest, err = p.adoptLayout(ctx, dir, digest)
	}
	p.dir = dir
	return digest, err
}

func (p *publish) checkIdentity(ctx context.Context, r *pipeline.Reporter) ([]*pipeline.Finding, error) {
	id, err := p.identity.Get(ctx)
	if err != nil {
		return nil, err
	}
	found := id.Check(ctx)
	if account, err := id.Account(ctx); err == nil {
		r.Notef("as %s, by %s", account.Login, id.Source)
	}
	return found, nil
}

func (p *publish) checkRegistry(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
	pusher, err := p.pusher.Get(ctx)
	if err != nil {
		return nil, err
	}
	var image push.Image
	if p.layout != "" {
		image = p.given.Get
	}
	return pusher.Preflight(ctx, p.tags(), image, p.overwrite)
}

func (p *publish) checkGit(ctx context.Context, r *pipeline.Reporter) ([]*pipeline.Finding, error) {
	state, err := p.state.Get(ctx)
	if err != nil {
		return nil, err
	}
	if state.Revision != "" {
		r.Detailf("revision %s", state.Short())
	}
	return state.Findings(), nil
}

func (p *publish) request() build.Request {
	return build.Request{
		Dir: p.root, Context: p.contextDir, Dockerfile: p.dockerfile, Platforms: imageref.PlatformNames(p.platforms), Target: p.target,
		Args: p.buildArgs(), Secrets: p.secrets, CacheFrom: p.cacheFrom, CacheTo: p.cacheTo,
		SourceDateEpoch: p.epoch, NoCache: p.noCache, Pull: p.pull, Uncompressed: true,
	}
}

func (p *publish) checkBuilder(ctx context.Context, r *pipeline.Reporter) ([]*pipeline.Finding, error) {
	env := os.Environ()
	engine, found, err := build.Find(ctx, build.Options{Choose: p.builder, Env: env, Withhold: p.holders(ctx, env)}, p.request())
	if engine != nil {
		p.engine = engine
		r.Notef("builder: %s", engine.Name())
	}
	return found, err
}

func (p *publish) checkDockerfile(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
	found := build.CheckDockerfile(p.request())
	for _, f := range found {
		if f.Severity == pipeline.Error {
			return found, nil
		}
	}
	_, more, err := build.CheckContext(ctx, p.request())
	return append(found, more...), err
}

func (p *publish) checkDisk(context.Context, *pipeline.Reporter) ([]*pipeline.Finding, error) {
	if err := p.keep(); err != nil {
		return nil, err
	}
	return build.CheckDisk(p.kept.Dir, p.kept.LastSize())
}

// keep locks the layout directory that this worker builds into.
func (p *publish) keep() error {
	base, err := p.cacheDir()
	if err != nil {
		return pipeline.UsageErrorf("cache-dir", "set HOME or XDG_CACHE_HOME", "there is no cache directory: %s", err)
	}
	p.kept, err = layout.Keep(filepath.Join(base, "sbw"), p.root, p.worker.Name)
	return err
}

// labels are what the image carries to the cluster.
func (p *publish) labels(ctx context.Context) (map[string]string, error) {
	created := p.epoch
	if created.IsZero() {
		created = p.now().UTC()
	}
	all := map[string]string{
		worker.LabelCreated: created.Format(time.RFC3339),
		worker.LabelVersion: p.tag,
		worker.LabelWorker:  p.worker.Name,
	}
	if state, err := p.state.Get(ctx); err == nil && state.Revision != "" {
		all[worker.LabelRevision] = state.Revision
		if source := state.Source(); source != "" {
			all[worker.LabelSource] = source
		}
		if state.Dirty {
			all[worker.LabelDirty] = "true"
		}
	}
	if id, err := p.identity.Get(ctx); err == nil {
		if account, err := id.Account(ctx); err == nil {
			all[worker.LabelPublisher] = account.Login
		}
	}
	functions, err := p.functions.Get(ctx)
	if err != nil {
		return nil, err
	}
	if !functions.Empty() {
		if all[worker.LabelCatalog], err = catalog.Encode(functions); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (p *publish) build(ctx context.Context, r *pipeline.Reporter) error {
	req := p.request()
	req.LayoutDir = p.kept.Dir
	var err error
	if req.Labels, err = p.labels(ctx); err != nil {
		return err
	}
	res, err := p.engine.Build(ctx, req, r)
	if err != nil {
		return err
	}
	p.dir, p.digest = res.LayoutDir, res.Digest
	return nil
}

func (p *publish) tags() []string {
	if p.noLatest || p.tag == push.Latest {
		return []string{p.tag}
	}
	return []string{p.tag, push.Latest}
}

func (p *publish) job() push.Job {
	return push.Job{Layout: p.dir, Digest: p.digest, Tags: p.tags(), Overwrite: p.overwrite, Pack: p.pack()}
}

func (p *publish) look(ctx context.Context, r *pipeline.Reporter) error {
	pusher, err := p.pusher.Get(ctx)
	if err != nil {
		return err
	}
	if p.plan, err = pusher.Plan(ctx, p.job(), r); err != nil {
		return err
	}
	p.settle(ctx, p.plan.Digest, p.plan.Size, r)
	for _, line := range planned(p.plan) {
		r.Notef("%s", line)
	}
	return nil
}

func (p *publish) push(ctx context.Context, r *pipeline.Reporter) error {
	pusher, err := p.pusher.Get(ctx)
	if err != nil {
		return err
	}
	if p.pushed, err = p.pushAndRemember(ctx, pusher, r); err != nil {
		return err
	}
	p.settle(ctx, p.pushed.Digest, p.pushed.Size, r)
	if p.kept != nil {
		freed, err := p.kept.Published(layout.Publication{
			Digest: p.digest, Built: p.built, Repository: p.pushed.Repository, Time: p.now(),
		})
		if err != nil {
			// The image is published; what stays too long is only disk.
			r.Notef("the layout directory could not be cleared: %s", err)
		} else if freed > 0 {
			r.Detailf("freed %d bytes of earlier images", freed)
		}
	}
	return nil
}

// reference is the published image: NAME:TAG@DIGEST.
func (p *publish) reference() string {
	repo := p.repository
	if p.pushed != nil {
		repo = imageref.Split(p.pushed.Repository).Repository
	} else if p.plan != nil {
		repo = imageref.Split(p.plan.Repository).Repository
	}
	return repo.At(p.tag).WithDigest(p.digest).String()
}

// summary is the result of `-o json`.
type summary struct {
	Reference string                 `json:"reference,omitempty"`
	Tag       string                 `json:"tag"`
	Digest    string                 `json:"digest,omitempty"`
	End       string                 `json:"end"`
	Pushed    *push.Result           `json:"pushed,omitempty"`
	Plan      *push.Plan             `json:"plan,omitempty"`
	Findings  []*pipeline.Finding    `json:"findings,omitempty"`
	Stages    []pipeline.StageRecord `json:"stages"`
	Error     string                 `json:"error,omitempty"`
}

func (p *publish) summary(out pipeline.Outcome) summary {
	s := summary{Tag: p.tag, Digest: p.digest, End: out.End.String(), Pushed: p.pushed, Plan: p.plan, Findings: out.Findings, Stages: out.Stages}
	if p.pushed != nil || p.plan != nil {
		s.Reference = p.reference()
	}
	if out.Err != nil {
		s.Error = out.Err.Error()
	}
	return s
}
