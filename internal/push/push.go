// Package push sends an image from an OCI layout directory to a registry. New
// returns a Pusher for one repository; its Preflight asks for permission, and
// its Push sends blobs, then manifests, then TAG, and latest only once TAG can
// be read back.
//
// # Why not go-containerregistry's uploader
//
// go-containerregistry asks for every blob, opens, fills and closes an upload
// for every new one, and repeats all of it for a second tag. Here a new blob
// takes a POST and a PUT. The same POST answers whether the blob already
// exists, as a mount from the repository itself. Blobs of the image that latest
// points to are assumed to exist (one GET for all of them); only if the
// registry then says MANIFEST_BLOB_UNKNOWN is each one checked. The first blob
// uses the upload that the permission check opened.
//
// # What it leaves when it fails
//
// A tag is written last and by one request, so TAG is either untouched or
// complete. Blobs that were sent stay in the registry, unseen, and the next run
// does not send them again.
//
// # Adding a fault that passes
//
// A fault that any request can meet belongs in registry.Passing, one that needs
// a new upload session in `lost` in blob.go. Add a row to the table in
// faults_test.go.
package push

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/registry"
)

// Latest is the tag that follows the newest publish.
const Latest = "latest"

// defaultJobs is how many uploads run at once if the uplink can carry them;
// gate.go reduces the number if it cannot.
const defaultJobs = 4

// Options say where to push, and with which credential.
type Options struct {
	Repository imageref.Repository
	Auth       authn.Authenticator
	// Credential and ScopeRemedy appear in messages; see registry.Options.
	Credential, ScopeRemedy string
	// MountFrom are repositories of the same registry that may contain the base
	// image's layers, besides those named in the layout's annotations.
	MountFrom []string
	// Jobs limits parallel uploads; 0 means 4.
	Jobs int
	// UserAgent is sent with each request.
	UserAgent string
	// single is singleBelow if zero; tests push smaller blobs.
	single int64

	// Transport, Wait, Tries and Stall are as in registry.Options.
	Transport http.RoundTripper
	Wait      func(context.Context, time.Duration) error
	Tries     int
	Stall     time.Duration
}

// Job is what to publish.
type Job struct {
	Layout string // directory
	Digest string // of the manifest or index in it
	// Tags are written in this order: TAG first, then latest if it moves.
	Tags []string
	// Overwrite allows the first tag to move away from different content.
	Overwrite bool
	// Pack compresses a layer that is uncompressed in the layout, into the
	// layout. If it is set, no layer is sent uncompressed, and the pushed
	// digest depends on what Pack returns.
	Pack func(context.Context, v1.Descriptor) (v1.Descriptor, error)
}

// Result describes a finished push.
type Result struct {
	Repository string        `json:"repository"`
	Digest     string        `json:"digest"`
	MediaType  string        `json:"mediaType"`
	Tags       []string      `json:"tags"`
	Size       int64         `json:"size"`     // of everything in the image, in bytes
	Sent       int64         `json:"sent"`     // bytes of blobs that were sent, including repetitions
	Uploaded   int           `json:"uploaded"` // blobs
	Existing   int           `json:"existing"` // blobs that already existed
	Mounted    int           `json:"mounted"`  // blobs mounted from another repository
	Requests   int           `json:"requests"` // of the whole Pusher, including the preflight
	Duration   time.Duration `json:"duration"` // nanoseconds
}

// Pusher publishes to one repository. It is used for one run: its push uses
// what its preflight learnt.
type Pusher struct {
	opts   Options
	client *registry.Client
	gate   *gate

	mu      sync.Mutex
	rep     *pipeline.Reporter
	session session              // the upload that the permission check opened
	tags    map[string]tagState  // what is known about tags, and since when
	latest  *pipeline.Lazy[seen] // what the manifest of latest names
	known   *pipeline.Lazy[seen] // the same, including the images of an index
	single  singlePost
}

// New makes a Pusher; nothing is sent yet.
func New(o Options) *Pusher {
	if o.Jobs == 0 {
		o.Jobs = defaultJobs
	}
	if o.single == 0 {
		o.single = singleBelow
	}
	if o.Transport == nil {
		o.Transport = registry.NewTransport(o.Jobs)
	}
	p := &Pusher{opts: o, gate: newGate(o.Jobs, time.Now), tags: map[string]tagState{}}
	p.client = registry.New(o.Repository, p.registryOptions())
	p.latest = pipeline.NewLazy(p.readLatest)
	p.known = pipeline.NewLazy(p.readChildren)
	return p
}

func (p *Pusher) registryOptions() registry.Options {
	o := p.opts
	return registry.Options{
		Auth: o.Auth, Push: true, Credential: o.Credential, ScopeRemedy: o.ScopeRemedy,
		Transport: o.Transport, UserAgent: o.UserAgent, Wait: o.Wait, Tries: o.Tries, Stall: o.Stall,
		OnRetry: func(r registry.Retry) {
			p.reporter().Detailf("%s: %v; again in %s", r.Kind, r.Err, r.After.Round(time.Millisecond))
		},
	}
}

func (p *Pusher) reporter() *pipeline.Reporter {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rep
}

func (p *Pusher) setReporter(rep *pipeline.Reporter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rep = rep
}

// name writes a tag, a digest or the bare repository the way people do.
func (p *Pusher) name(ref string) string {
	return p.opts.Repository.At(ref).String()
}

// Requests is the number of requests sent so far.
func (p *Pusher) Requests() int { return p.client.Requests() }

// Push publishes a job. The error is a *pipeline.Finding or the context's
// error. It reports Changed right before the first tag is written.
func (p *Pusher) Push(ctx context.Context, j Job, rep *pipeline.Reporter) (*Result, error) {
	start := time.Now()
	p.setReporter(rep)
	for _, t := range j.Tags {
		if err := imageref.CheckTag(t); err != nil {
			return nil, err
		}
	}
	img, err := readImage(j.Layout, j.Digest)
	if err != nil {
		return nil, err
	}
	run := &run{Pusher: p, job: j, image: img, rep: rep}
	if err := run.all(ctx); err != nil {
		return nil, err
	}
	img = run.image
	res := &Result{
		Repository: p.opts.Repository.String(), Digest: run.job.Digest, MediaType: img.root.mediaType, Tags: j.Tags,
		Size: img.size(), Sent: run.sent.Load(), Requests: p.client.Requests(), Duration: time.Since(start),
	}
	for _, b := range img.blobs {
		switch run.stateOf(b.digest) {
		case uploaded:
			res.Uploaded++
		case mounted:
			res.Mounted++
		default:
			res.Existing++
		}
	}
	return res, nil
}
