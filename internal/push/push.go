// Package push sends an image from an OCI layout directory to a registry. New
// returns a Pusher for one repository; its Preflight asks for permission, and
// its Push sends blobs, then manifests, then TAG, and latest only once TAG can
// be read back.
//
// # Why not go-containerregistry's uploader
//
// go-containerregistry sends a HEAD for every blob, opens, fills and closes an
// upload for every new one, and repeats all of this for a second tag. Here a new
// blob takes one POST and one PUT. The POST asks for a mount from the repository
// itself, so its answer also says whether the blob already exists. Blobs of the
// image that latest points to are assumed to exist (one GET for all of them).
// They are checked one by one only if the registry then answers
// MANIFEST_BLOB_UNKNOWN. The first blob uses the upload that the permission check
// opened.
//
// # What it leaves when it fails
//
// A tag is written last and by one request, so TAG is either untouched or
// complete. Blobs that were sent stay in the registry without a tag, and the next
// run does not send them again.
//
// # Adding a fault that passes
//
// If the fault can occur with any request, add it to registry.Passing; if it
// requires a new upload session, add it to `lost` in blob.go. Then add a row to
// the table in faults_test.go.
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

// defaultJobs is how many uploads run in parallel if the uplink is fast enough;
// gate.go reduces the number if it is not.
const defaultJobs = 4

// Options say where to push, and with which credential.
type Options struct {
	Repository imageref.Repository
	Auth       authn.Authenticator
	// Credential and ScopeRemedy appear in messages; see registry.Options.
	Credential, ScopeRemedy string
	// MountFrom lists repositories of the same registry that may contain the base
	// image's layers, in addition to those named in the layout's annotations.
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
	// Pack compresses an uncompressed layer of the layout and stores the result in
	// the layout. If Pack is set, no layer is sent uncompressed, and the pushed
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

// Pusher publishes to one repository. Use one Pusher for each run: Push relies on
// what Preflight has learned.
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

// New returns a Pusher. It does not send anything yet.
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

// name returns the reference of a tag or digest as people write it, or only the
// repository if ref is empty.
func (p *Pusher) name(ref string) string {
	return p.opts.Repository.At(ref).String()
}

// Requests returns the number of requests sent so far.
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
