package rollout

import (
	"context"
	"time"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest/conn"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/manifest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// facts are what checks and stages need to know, each found once, by whoever
// needs it first, and shared. They are read only: a later look at the world is
// another facts, see again.
type facts struct {
	*Target
	image    ImageOptions
	manifest ManifestOptions
	inngest  InngestOptions
	wish     SwitchOptions
	force    bool // conflicts with other field managers
	restart  bool // the image that runs, and new pods
	started  time.Time

	// choice is how the new version takes the old one's place.
	choice *pipeline.Lazy[handover.Choice]
	// held is a hand-over that was found in the cluster.
	held *pipeline.Lazy[*handover.State]
	// live is the workload as it runs.
	live *pipeline.Lazy[*workload.Workload]
	// loaded are the manifest's objects as they are; none with ImageOnly.
	loaded *pipeline.Lazy[[]apply.Object]
	// next is the workload as the manifest has it, without the new image; the
	// live one with ImageOnly.
	next *pipeline.Lazy[*workload.Workload]
	// resolved is the image that is rolled out.
	resolved *pipeline.Lazy[resolvedImage]
	// plan is the place in the manifest's files that decides the image; nil
	// where there is no file to stamp.
	plan *pipeline.Lazy[*manifest.Plan]
	// objects are what is to be applied: with the new image.
	objects *pipeline.Lazy[[]apply.Object]
	// conn leads to Inngest's server and to the worker.
	conn *pipeline.Lazy[*conn.Conn]
	// catalog is the function catalog that the image carries; nil when it
	// carries none.
	catalog *pipeline.Lazy[*catalog.Catalog]
	// registered is what Inngest's server knows.
	registered *pipeline.Lazy[registration]
	// steps are those that were executing when the preflight looked.
	steps *pipeline.Lazy[[]judge.Executing]
}

// registration is what Inngest's server has registered.
type registration struct {
	apps []model.App
	own  *model.App // the worker's; nil when there is none yet
}

// functions are the worker's own; empty, not nil, when there is no app yet.
func (r registration) functions() []model.Function {
	if r.own == nil || r.own.Functions == nil {
		return []model.Function{}
	}
	return r.own.Functions
}

func newFacts(t *Target, o Options) *facts {
	f := &facts{
		Target:   t,
		image:    o.Image,
		manifest: o.Manifest,
		inngest:  o.Inngest,
		wish:     o.Switch,
		force:    o.ForceConflicts,
		restart:  o.Restart,
		started:  time.Now(),
	}
	f.conn = pipeline.NewLazy(f.findConn)
	f.lookUp()
	return f
}

// again is the same questions with no answers yet. The route to Inngest stays:
// it may be open, and does not change.
func (f *facts) again() *facts {
	fresh := &facts{
		Target:   f.Target,
		image:    f.image,
		manifest: f.manifest,
		inngest:  f.inngest,
		wish:     f.wish,
		force:    f.force,
		restart:  f.restart,
		started:  f.started,
		conn:     f.conn,
	}
	fresh.lookUp()
	return fresh
}

func (f *facts) lookUp() {
	f.choice = pipeline.NewLazy(f.findChoice)
	f.held = pipeline.NewLazy(f.findHeld)
	f.live = pipeline.NewLazy(f.findLive)
	f.loaded = pipeline.NewLazy(f.load)
	f.next = pipeline.NewLazy(f.findNext)
	f.resolved = pipeline.NewLazy(f.findImage)
	f.plan = pipeline.NewLazy(f.findPlan)
	f.objects = pipeline.NewLazy(f.findObjects)
	f.catalog = pipeline.NewLazy(f.findCatalog)
	f.registered = pipeline.NewLazy(f.findRegistered)
	f.steps = pipeline.NewLazy(f.findSteps)
}

func (f *facts) findLive(ctx context.Context) (*workload.Workload, error) {
	kube, err := f.Conn.Kube()
	if err != nil {
		return nil, err
	}
	return workload.Get(ctx, kube, f.Ref)
}

// previous is the image that ran when the facts were found, "" where nothing
// did or nobody has looked.
func (f *facts) previous() string {
	live, ok := f.live.Peek()
	if !ok {
		return ""
	}
	return imageIn(live.Template(), f.container())
}

// close ends the connections that were opened.
func (f *facts) close() error {
	if c, ok := f.conn.Peek(); ok {
		return c.Close()
	}
	return nil
}
