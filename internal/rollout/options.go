package rollout

import (
	"time"

	"github.com/joelhooks/gh-sbw/internal/cluster/containerenv"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// Options are the options of a rollout or an undo, after the configuration has filled
// in what no flag set.
type Options struct {
	Image    ImageOptions
	Manifest ManifestOptions
	Probe    ProbeOptions
	Inngest  InngestOptions
	Steps    StepOptions
	Switch   SwitchOptions

	// Timeout bounds the wait for the rollout, and then the wait for the old pods to go.
	Timeout time.Duration
	// LockWait is how long to wait while another run holds the lock; zero means
	// not to wait.
	LockWait time.Duration
	// Force continues although another rollout is in progress or steps would be lost.
	Force bool
	// ForceConflicts takes over fields that other field managers own.
	ForceConflicts bool
	// NoRollback leaves a failed rollout as it is.
	NoRollback bool
	// NoSettle skips the wait until the old pods are gone.
	NoSettle bool
	// DryRun says whether anything is changed at all.
	DryRun DryRun
	// Diff shows what the apply changes, or would change.
	Diff bool
	// ToRevision is the revision that an undo goes back to; 0 means the newest one
	// before the current one that is not known to have failed.
	ToRevision int64
	// Restart replaces the pods by new pods of the running image.
	Restart bool
	// Prepull lets the nodes pull the image and execute a program of it before anything is
	// changed.
	Prepull bool
}

// DryRun is how far a run goes.
type DryRun string

// The kinds of dry run, in kubectl's words.
const (
	DryRunNone   DryRun = "none"
	DryRunClient DryRun = "client" // only determine what would be applied
	DryRunServer DryRun = "server" // let the API server validate it
)

// SwitchOptions say how the new version replaces the old one.
type SwitchOptions struct {
	// Strategy is the requested strategy: StrategyAuto switches where possible, and
	// StrategySwitch refuses the rollout where it is not. Empty means rolling.
	Strategy handover.Strategy
	// DrainTimeout bounds the wait for steps on the old pods; zero means no
	// bound.
	DrainTimeout time.Duration
	// Bake is how long the new version is watched after the switch.
	Bake time.Duration
	// Resume continues a switch that another run has started.
	Resume bool
}

// ImageOptions say which image is rolled out.
type ImageOptions struct {
	// Reference has no repository if the manifest's container provides it. If it
	// has a digest, exactly that image is rolled out; the tag may then be empty,
	// or else it must still refer to that digest.
	imageref.Reference
	// NoPin applies NAME:TAG without @sha256:….
	NoPin bool
}

// ManifestOptions say what is applied.
type ManifestOptions struct {
	Filenames []string
	Kustomize string
	Recursive bool
	Stdin     []byte // the contents of standard input, for the file name "-"
	// ImageOnly uses no manifest: only the image of the live workload is changed.
	ImageOnly bool
	// NoWrite leaves the file unchanged; the applied objects get the image all the same.
	NoWrite bool
	// Named means that the manifest comes from a flag and not from the configuration.
	// An undo is then refused if it cannot be read.
	Named bool
}

// ProbeOptions say how each new pod is probed. They come from .sbw.yaml unless a flag
// overrides them.
type ProbeOptions = worker.Probe

// InngestOptions say how Inngest is reached and which changes are allowed there.
type InngestOptions struct {
	// Off leaves Inngest out: the worker registers nothing. OffBy is the setting
	// that turned it off.
	Off   bool
	OffBy string
	// URL is empty if the server's Service is used. Via is the route to it.
	URL          string
	Via          string
	Key          containerenv.Source
	EventKey     containerenv.Source
	AllowRemoval bool
	PruneStale   bool
	// ConfirmEvent, if set, is sent at the end, and its runs are followed.
	ConfirmEvent string
	ConfirmData  map[string]any
}

// StepOptions say how steps that are executing are treated.
type StepOptions struct {
	// WaitIdle waits until no step is executing, for up to IdleTimeout, or
	// indefinitely if that is zero.
	WaitIdle    bool
	IdleTimeout time.Duration
	MaxStepLoss time.Duration
	RerunLost   bool
}
