package kubecmd

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/manifest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

type rolloutOptions struct {
	*scope

	tag       string
	image     string
	filenames []string
	kustomize string
	recursive bool
	imageOnly bool
	noPin     bool
	noWrite   bool
	timeout   time.Duration
	dryRun    string
	diff      bool

	probePath   string
	probeExpect string
	probePort   int

	noRollback     bool
	noSettle       bool
	forceConflicts bool
	force          bool
	inngest        inngestFlags
	allowRemoval   bool
	pruneStale     bool
	noInngest      bool
	waitIdle       optionalDuration
	maxStepLoss    time.Duration
	rerunLost      bool
	confirmRun     string
	confirmData    string
	confirmWith    map[string]any // confirmData, read by complete
	lockWait       time.Duration
	stdinText      []byte
	contexts       []string
	waveSize       int
	maxFailures    int
	toRevision     int64 // of undo; 0: the one before
	filesGiven     bool  // for undo: -f or -k, not the configuration
	tagOptional    bool  // doctor asks about what runs
	output         string
}

const rolloutExamples = `  # roll out what 'gh sbw publish' has just published
  kubectl sbw rollout --tag 20260102-030405

  # another cluster and namespace
  kubectl sbw rollout --tag a6de1e0 --context staging --namespace joelclaw

  # several clusters, one after the other, and no further one after the first failure
  kubectl sbw rollout --tag a6de1e0 --contexts 'staging,prod-*'

  # see what would change, and change nothing
  kubectl sbw rollout --tag a6de1e0 --dry-run=server --diff

  # without a checkout: change the image of what runs, and nothing else
  kubectl sbw rollout --tag a6de1e0 --image-only

  # publish and roll out in one line
  gh sbw publish -o name | xargs -I{} kubectl sbw rollout --image {}`

func newRollout(k *kube) *cobra.Command { return bindRollout(k, &rolloutOptions{}) }

// bindRollout makes the command that fills o from its flags.
func bindRollout(k *kube, o *rolloutOptions) *cobra.Command {
	c := &cobra.Command{
		Use:   "rollout --tag TAG [flags]",
		Short: "Stamp and apply the manifest, wait, probe the new pods, refresh Inngest, verify",
		Long: `Roll out a published image.

Before anything is changed, the image, the cluster, the rights and Inngest are asked whether the
rollout can end well; all that stands against it is told at once. Then the manifest is stamped with
the image and applied, the rollout is followed to its end, every new pod is asked for its page, and
Inngest's registration is made equal to what the worker serves. When one of these fails, the
evidence is kept and what ran before is put back.

With --contexts all of that is done in several clusters: the preflight of every one before anything
is changed in any, then wave after wave, until more than --max-failures have failed. Each cluster
that fails goes back by itself; the manifest's file is put back if none is left with the new image.
A table says what became of each, and the exit code is the worst of theirs.

Exit codes: 0 done, 1 failed and nothing changed, 2 wrong usage, 3 refused by the preflight,
4 failed, changed and restored, 5 failed, changed and left, 130 interrupted.`,
		Example: rolloutExamples,
		Args:    cobra.NoArgs,
	}
	o.addTarget(c)
	f := c.Flags()
	f.BoolVar(&o.noPin, "no-pin", false, "apply NAME:TAG without @sha256:…")
	f.BoolVar(&o.noWrite, "no-write", false, "leave the manifest's file as it is; apply the stamped text all the same")
	f.DurationVar(&o.timeout, "timeout", 0, "how long to wait for the rollout (default: deploy.timeout of "+worker.ConfigName+", 180s)")
	f.StringVar(&o.dryRun, "dry-run", "none", `"none", "client" (print what would be applied) or "server" (let the cluster judge it, change nothing)`)
	f.Lookup("dry-run").NoOptDefVal = "client"
	f.BoolVar(&o.diff, "diff", false, "show what the apply changes; with --dry-run=server, what it would change")
	f.StringVar(&o.probePath, "probe-path", "", "the page to ask of each new pod (default: probe.path, /)")
	f.StringVar(&o.probeExpect, "probe-expect", "", "a text that the page must contain")
	f.IntVar(&o.probePort, "probe-port", 0, "the port to ask on (default: probe.port, 3111)")
	f.BoolVar(&o.noRollback, "no-rollback", false, "leave a failed rollout as it is")
	f.BoolVar(&o.noSettle, "no-settle", false, "do not wait for the old pods to be gone; that they are is then not verified")
	f.BoolVar(&o.forceConflicts, "force-conflicts", false, "take fields that other managers own")
	f.BoolVar(&o.force, "force", false, "go on where running steps would be lost, or another rollout is under way")
	f.BoolVar(&o.allowRemoval, "allow-removal", false, "let functions vanish from Inngest that the new image no longer has")
	f.BoolVar(&o.pruneStale, "prune-stale", false, "delete registrations that are stale by rule")
	o.addRestart(c)
	f.StringVar(&o.confirmRun, "confirm-run", "", "in the end, send this event and follow its run through the new pods")
	f.StringVar(&o.confirmData, "confirm-data", "", "the data of that event, a JSON object")
	o.inngest.addEventKey(c)
	f.IntVar(&o.waveSize, "wave-size", 1, "with --contexts: how many clusters at once")
	f.IntVar(&o.maxFailures, "max-failures", 0, "with --contexts: begin no further wave once more than so many clusters have failed")
	f.DurationVar(&o.lockWait, "lock-wait", 0, "how long to wait while somebody else rolls out (default: not at all)")
	cli.AddOutput(c, &o.output, "name", "json", "yaml")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if len(o.contexts) > 0 {
			return runFleet(c.Context(), k, o, "rollout")
		}
		if c.Flags().Changed("wave-size") || c.Flags().Changed("max-failures") {
			return pipeline.UsageErrorf("usage", "name them with --contexts", "--wave-size and --max-failures are about several clusters")
		}
		if err := o.complete(k); err != nil {
			return err
		}
		if err := o.validate(); err != nil {
			return err
		}
		return o.run(c.Context())
	}
	return c
}

// addRestart adds the flags that say what becomes of steps that are executing.
func (o *rolloutOptions) addRestart(c *cobra.Command) {
	f := c.Flags()
	f.Var(&o.waitIdle, "wait-idle", "wait until no step is executing, at most so long; without a value, without end (default: not at all)")
	f.Lookup("wait-idle").NoOptDefVal = "forever"
	f.DurationVar(&o.maxStepLoss, "max-step-loss", 0, "let steps that have run for less than this be run again; refuse older ones")
	f.BoolVar(&o.rerunLost, "rerun-lost", false, "run those runs again that the switch-over killed")
}

// addFiles adds the flags that name the manifest.
func (o *rolloutOptions) addFiles(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVarP(&o.filenames, "filename", "f", nil, "manifest: a file, directory or URL; may be given several times (default: deploy.manifest of "+worker.ConfigName+")")
	f.StringVarP(&o.kustomize, "kustomize", "k", "", "a kustomization directory, in place of -f")
	f.BoolVarP(&o.recursive, "recursive", "R", false, "look into directories below those of -f")
}

// addTarget adds the flags that say what is rolled out, and where.
func (o *rolloutOptions) addTarget(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.tag, "tag", "", "the published tag to roll out")
	addContexts(c, &o.contexts)
	f.StringVar(&o.image, "image", "", "the image's repository when it is not the manifest's; may name the tag, and a digest, too")
	o.addFiles(c)
	f.BoolVar(&o.imageOnly, "image-only", false, "use no manifest: change the image of the live workload alone")
	o.inngest.add(c)
	f.BoolVar(&o.noInngest, "no-inngest", false, "the worker registers nothing: leave Inngest out")
	c.MarkFlagsMutuallyExclusive("filename", "kustomize", "image-only")
	o.dryRun = "none"
}

// complete fills in what flags left open from the configuration.
func (o *rolloutOptions) complete(k *kube) (err error) {
	if err := o.checkTag(); err != nil {
		return err
	}
	if err := o.inngest.validate(); err != nil {
		return err
	}
	if err := o.readConfirmData(); err != nil {
		return err
	}
	if o.scope, err = k.complete(); err != nil {
		return err
	}
	w := o.worker
	if err := o.inngest.complete(w.Inngest); err != nil {
		return err
	}
	if o.timeout == 0 {
		o.timeout = w.Deploy.Timeout
	}
	if o.probePath == "" {
		o.probePath = w.Probe.Path
	}
	if o.probeExpect == "" {
		o.probeExpect = w.Probe.Expect
	}
	if o.probePort == 0 {
		o.probePort = w.Probe.Port
	}
	if o.image == "" {
		o.image = w.Image.String()
	}
	if len(o.filenames) == 0 && o.kustomize == "" && !o.imageOnly {
		if !o.inCheckout {
			o.imageOnly = true
			return nil
		}
		o.filenames = []string{o.path(w.Deploy.Manifest)}
	}
	o.placeKustomization()
	for i, name := range o.filenames {
		if name == "-" && o.stdinText == nil {
			// Read once, for checks and the apply load it each for themselves.
			if o.stdinText, err = io.ReadAll(o.env.In); err != nil {
				return err
			}
		}
		if name != "-" && !strings.Contains(name, "://") && !filepath.IsAbs(name) {
			o.filenames[i] = filepath.Join(o.env.Dir, name)
		}
	}
	return nil
}

// placeKustomization makes the kustomization's path one from here, and takes a
// directory of -f or deploy.manifest that has one for it.
func (o *rolloutOptions) placeKustomization() {
	local := func(dir string) string {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(o.env.Dir, dir)
		}
		return dir
	}
	if len(o.filenames) == 1 && o.kustomize == "" && manifest.IsKustomization(local(o.filenames[0])) {
		o.kustomize, o.filenames = o.filenames[0], nil
	}
	// What is not there may be a repository's address: kustomize knows them.
	if dir := local(o.kustomize); o.kustomize != "" && manifest.IsKustomization(dir) {
		o.kustomize = dir
	}
}

// checkTag knows what is wrong on the command line itself, before the
// configuration and the kubeconfig are read.
func (o *rolloutOptions) checkTag() error {
	// --image NAME:TAG@sha256:… is what `gh sbw publish` prints, so it may be
	// handed over as it is.
	if name, tag, ok := splitTag(o.image); ok {
		if o.tag != "" && o.tag != tag {
			return pipeline.UsageErrorf("usage", "give the tag once", "--image names tag %q and --tag is %q", tag, o.tag)
		}
		o.image, o.tag = name, tag
	}
	if o.tag == "" && !o.tagOptional {
		return pipeline.UsageErrorf("usage", "give it with --tag; `gh sbw tags` lists what is published", "no tag to roll out")
	}
	if o.tag != "" {
		return imageref.CheckTag(o.tag)
	}
	return nil
}

// readConfirmData reads what --confirm-run sends along.
func (o *rolloutOptions) readConfirmData() error {
	if o.confirmRun == "" {
		for _, f := range []struct{ flag, value string }{{"--confirm-data", o.confirmData}, {"--event-key-from", o.inngest.eventKeyFrom}} {
			if f.value != "" {
				return pipeline.UsageErrorf("usage", "name the event with --confirm-run", "%s has no event to go with", f.flag)
			}
		}
	}
	if o.confirmData == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(o.confirmData), &o.confirmWith); err != nil {
		return pipeline.UsageErrorf("usage", `write it as '{"seconds": 1}'`, "--confirm-data is no JSON object: %s", err)
	}
	return nil
}

// splitTag takes NAME:TAG or NAME:TAG@DIGEST apart. The digest is left out: it
// is asked of the registry, and a tag that has moved since is worth a word.
func splitTag(ref string) (name, tag string, ok bool) {
	ref, _, _ = strings.Cut(ref, "@")
	colon := strings.LastIndex(ref, ":")
	if colon < 0 || strings.Contains(ref[colon:], "/") {
		return ref, "", false
	}
	return ref[:colon], ref[colon+1:], true
}

func (o *rolloutOptions) validate() error {
	if o.image != "" {
		if _, err := imageref.ParseRepository(o.image); err != nil {
			return err
		}
	}
	if o.timeout <= 0 {
		return pipeline.UsageErrorf("usage", "give it as 90s or 3m", "--timeout %s is not above zero", o.timeout)
	}
	if o.lockWait < 0 {
		return pipeline.UsageErrorf("usage", "give it as 90s or 5m", "--lock-wait %s is below zero", o.lockWait)
	}
	if o.maxStepLoss < 0 {
		return pipeline.UsageErrorf("usage", "give it as 30s", "--max-step-loss %s is below zero", o.maxStepLoss)
	}
	if o.probePort < 1 || o.probePort > 65535 {
		return pipeline.UsageErrorf("usage", "use one of 1 to 65535", "--probe-port %d is no port", o.probePort)
	}
	if err := o.checkNoInngest(); err != nil {
		return err
	}
	if o.diff && o.dryRun == "client" {
		return pipeline.UsageErrorf("usage", "use --dry-run=server", "--diff compares with the cluster, which --dry-run=client does not ask")
	}
	switch o.dryRun {
	case "none", "client", "server":
	default:
		return pipeline.UsageErrorf("usage", "use none, client or server", "--dry-run=%s is not known", o.dryRun)
	}
	if !strings.HasPrefix(o.probePath, "/") {
		return pipeline.UsageErrorf("usage", "begin it with a slash", "--probe-path %q is not a path", o.probePath)
	}
	for _, name := range o.filenames {
		if name == "-" || strings.Contains(name, "://") {
			continue
		}
		if _, err := os.Stat(name); err != nil {
			why := err
			if pe, ok := errors.AsType[*fs.PathError](err); ok {
				why = pe.Err
			}
			f := pipeline.UsageErrorf("manifest-missing",
				"give it with -f, set deploy.manifest in "+worker.ConfigName+", or use --image-only", "no manifest at %s", o.short(name))
			f.Why, f.Err = why.Error(), err
			return f
		}
	}
	return nil
}

// checkNoInngest refuses what --no-inngest would leave out unsaid.
func (o *rolloutOptions) checkNoInngest() error {
	if !o.noInngest {
		return nil
	}
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"--wait-idle", o.waitIdle.set}, {"--max-step-loss", o.maxStepLoss != 0}, {"--rerun-lost", o.rerunLost},
		{"--confirm-run", o.confirmRun != ""}, {"--prune-stale", o.pruneStale},
	} {
		if f.given {
			return pipeline.UsageErrorf("usage", "leave one of them out", "%s asks Inngest, which --no-inngest leaves out", f.name)
		}
	}
	return nil
}

// short is a path as the user would write it from where they are.
func (s *scope) short(path string) string {
	if rel, err := filepath.Rel(s.env.Dir, path); err == nil && !strings.HasPrefix(rel, "../../..") {
		return rel
	}
	return path
}

// run rolls out and prints the result.
func (o *rolloutOptions) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &rollout{rolloutOptions: o, lose: cancel, command: "rollout"}
	out, err := o.env.Run(ctx, r.pipeline(), map[pipeline.End]string{
		pipeline.Left: "`kubectl sbw status` says what runs, `kubectl sbw undo` goes back",
	})
	o.env.Warn("keep the receipt", r.record(ctx, out))
	if perr := r.print(out); perr != nil {
		return perr
	}
	return err
}
