package rollout

import (
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/containerenv"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// Options are what a person asked of a rollout or an undo, with everything
// filled in from the configuration.
type Options struct {
	Image    ImageOptions
	Manifest ManifestOptions
	Probe    ProbeOptions
	Inngest  InngestOptions
	Steps    StepOptions
	Switch   SwitchOptions

	// Timeout bounds the wait for the rollout, and again for the old pods' end.
	Timeout time.Duration
	// LockWait is how long to wait while another run holds the lock; not at
	// all when zero.
	LockWait time.Duration
	// Force continues where another rollout is under way or steps would be lost.
	Force bool
	// ForceConflicts takes fields that other field managers own.
	ForceConflicts bool
	// NoRollback leaves a failed rollout as it is.
	NoRollback bool
	// NoSettle does not wait until the old pods are gone.
	NoSettle bool
	// DryRun says whether anything is changed at all.
	DryRun DryRun
	// Diff shows what the apply changes, or would change.
	Diff bool
	// ToRevision is the revision an undo goes back to; with 0 it is the newest
	// before the current one that is not known to have failed.
	ToRevision int64
	// Restart replaces the pods by others of the image that runs.
	Restart bool
}

// DryRun is how far a run goes.
type DryRun string

// The kinds of dry run, in kubectl's words.
const (
	DryRunNone   DryRun = "none"
	DryRunClient DryRun = "client" // find out what would be applied
	DryRunServer DryRun = "server" // let the API server judge it
)

// SwitchOptions say how the new version takes the old one's place.
type SwitchOptions struct {
	// Strategy is a wish: StrategyAuto switches where that is possible, and
	// StrategySwitch refuses to roll out where it is not. Empty is rolling.
	Strategy handover.Strategy
	// DrainTimeout bounds the wait for steps on the old pods; there is no bound
	// when zero.
	DrainTimeout time.Duration
	// Bake is how long the new version is watched after the switch.
	Bake time.Duration
	// Resume goes on with a hand-over that another run has begun.
	Resume bool
}

// ImageOptions say which image is rolled out.
type ImageOptions struct {
	// Reference has no repository where the manifest's container names it. With a
	// digest, exactly that goes out; the tag may then be empty, and otherwise
	// must still stand for it.
	imageref.Reference
	// NoPin applies NAME:TAG without @sha256:….
	NoPin bool
}

// ManifestOptions say what is applied.
type ManifestOptions struct {
	Filenames []string
	Kustomize string
	Recursive bool
	Stdin     []byte // the text of "-"
	// ImageOnly uses no manifest: the image of the live workload is changed.
	ImageOnly bool
	// NoWrite leaves the file as it is; what is applied is stamped all the same.
	NoWrite bool
	// Named means that a person gave the manifest, not the configuration: then
	// an undo is refused when it cannot be read.
	Named bool
}

// ProbeOptions say what each new pod is asked: those of .sbw.yaml, unless a flag
// says otherwise.
type ProbeOptions = worker.Probe

// InngestOptions say how Inngest is reached and what may change there.
type InngestOptions struct {
	// Off leaves Inngest out: the worker registers nothing. OffBy is the setting
	// that says so.
	Off   bool
	OffBy string
	// URL is empty where the server's Service is used, Via is the route to it.
	URL          string
	Via          string
	Key          containerenv.Source
	EventKey     containerenv.Source
	AllowRemoval bool
	PruneStale   bool
	// ConfirmEvent, when set, is sent at the end and its runs are followed.
	ConfirmEvent string
	ConfirmData  map[string]any
}

// StepOptions say what becomes of steps that are executing.
type StepOptions struct {
	// WaitIdle waits until no step is executing, for IdleTimeout at most;
	// indefinitely when that is zero.
	WaitIdle    bool
	IdleTimeout time.Duration
	MaxStepLoss time.Duration
	RerunLost   bool
}
