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

// facts are what checks and stages need to know. Each fact is determined once, when
// it is first needed, and then shared. Facts never change: to look at the world
// again, make new facts with again.
type facts struct {
	*Target
	image    ImageOptions
	manifest ManifestOptions
	inngest  InngestOptions
	wish     SwitchOptions
	force    bool // take over fields that other field managers own
	restart  bool // keep the running image and replace the pods
	started  time.Time

	// choice is the strategy with which the new version replaces the old one.
	choice *pipeline.Lazy[handover.Choice]
	// held is an unfinished switch that was found in the cluster.
	held *pipeline.Lazy[*handover.State]
	// live is the workload as it is in the cluster.
	live *pipeline.Lazy[*workload.Workload]
	// loaded are the manifest's objects, unchanged; empty with ImageOnly.
	loaded *pipeline.Lazy[[]apply.Object]
	// next is the workload as the manifest declares it, without the new image;
	// with ImageOnly it is the live one.
	next *pipeline.Lazy[*workload.Workload]
	// resolved is the image that is rolled out.
	resolved *pipeline.Lazy[resolvedImage]
	// plan is the place in the manifest's files that determines the image; nil
	// if there is no file to stamp.
	plan *pipeline.Lazy[*manifest.Plan]
	// objects are the objects to apply, with the new image.
	objects *pipeline.Lazy[[]apply.Object]
	// conn is the connection to the Inngest server and the worker.
	conn *pipeline.Lazy[*conn.Conn]
	// catalog is the function catalog that the image carries; nil if it has none.
	catalog *pipeline.Lazy[*catalog.Catalog]
	// registered is what the Inngest server has registered.
	registered *pipeline.Lazy[registration]
	// steps are those that were executing during the preflight.
	steps *pipeline.Lazy[[]judge.Executing]
}

// registration is what the Inngest server has registered.
type registration struct {
	apps []model.App
	own  *model.App // the worker's app; nil if there is none yet
}

// functions returns the worker's own functions. The slice is empty, not nil, if there is no app yet.
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

// again returns new facts that are determined from scratch. Only the connection to
// Inngest is kept, because it may be open and does not change.
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

// previous returns the image that was running when the facts were determined, or ""
// if none was or the workload has not been read.
func (f *facts) previous() string {
	live, ok := f.live.Peek()
	if !ok {
		return ""
	}
	return imageIn(live.Template(), f.container())
}

// close closes the connections that were opened.
func (f *facts) close() error {
	if c, ok := f.conn.Peek(); ok {
		return c.Close()
	}
	return nil
}
