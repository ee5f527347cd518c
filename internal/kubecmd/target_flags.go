package kubecmd

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// addTarget adds the flags that say what is rolled out, and where.
func (o *rolloutOptions) addTarget(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.Image.Tag, "tag", "", "the published tag to roll out")
	addContexts(c, &o.contexts)
	f.StringVar(
		&o.imageFlag,
		"image",
		"",
		"the image's repository if it is not the manifest's; may include the tag, and the digest to roll out",
	)
	o.addFiles(c)
	f.BoolVar(&o.Manifest.ImageOnly, "image-only", false, "use no manifest: change only the image of the live workload")
	o.inngest.add(c)
	addNoInngest(c, &o.Inngest.Off)
	addProbe(c, &o.Probe)
	o.addStrategy(c)
	c.MarkFlagsMutuallyExclusive("filename", "kustomize", "image-only")
	o.DryRun = rollout.DryRunNone
}

// addFiles adds the flags that name the manifest.
func (o *rolloutOptions) addFiles(c *cobra.Command) {
	f := c.Flags()
	f.StringSliceVarP(&o.Manifest.Filenames, "filename", "f", nil,
		"manifest: a file, directory or URL; may be given several times (default: deploy.manifest of "+worker.ConfigName+")")
	f.StringVarP(&o.Manifest.Kustomize, "kustomize", "k", "", "a kustomization directory, in place of -f")
	f.BoolVarP(&o.Manifest.Recursive, "recursive", "R", false, "include subdirectories of the directories given with -f")
}

// addRollout adds the flags that only a rollout takes.
func (o *rolloutOptions) addRollout(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&o.Image.NoPin, "no-pin", false, "apply NAME:TAG without @sha256:…")
	f.BoolVar(&o.Manifest.NoWrite, "no-write", false, "leave the manifest file as it is, and apply the stamped text")
	f.DurationVar(&o.Timeout, "timeout", 0, "how long to wait for the rollout (default: deploy.timeout of "+worker.ConfigName+", 180s)")
	o.addDryRun(c)
	o.addCare(c)
	f.BoolVar(&o.Inngest.AllowRemoval, "allow-removal", false, "let functions vanish from Inngest if the new image does not have them")
	f.BoolVar(&o.Inngest.PruneStale, "prune-stale", false, "delete stale registrations")
	f.StringVar(&o.Inngest.ConfirmEvent, "confirm-run", "", "finally, send this event and follow its run through the new pods")
	f.StringVar(&o.confirmData, "confirm-data", "", "the data of that event, a JSON object")
	o.inngest.addEventKey(c)
	o.addSwitch(c)
	o.addWaves(c)
}

// addWaves adds the flags that control the order of several clusters.
func (o *rolloutOptions) addWaves(c *cobra.Command) {
	f := c.Flags()
	f.IntVar(&o.WaveSize, "wave-size", 1, "with --contexts: how many clusters at once")
	f.IntVar(&o.MaxFailures, "max-failures", 0, "with --contexts: start no further wave once more than this many clusters have failed")
}

// addDryRun adds the flags that show what is applied or would be applied.
func (o *rolloutOptions) addDryRun(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(
		(*string)(&o.DryRun),
		"dry-run",
		string(rollout.DryRunNone),
		`"none", "client" (run the checks, then print what would be applied) or `+
			`"server" (let the cluster try it, and print what would change); neither changes anything`,
	)
	f.Lookup("dry-run").NoOptDefVal = string(rollout.DryRunClient)
	f.BoolVar(&o.Diff, "diff", false, "show what the apply changes; with --dry-run=server, what it would change")
}

// addCare adds the flags that say how careful a run is.
func (o *rolloutOptions) addCare(c *cobra.Command) {
	f := c.Flags()
	f.BoolVar(&o.NoRollback, "no-rollback", false, "leave a failed rollout as it is")
	f.BoolVar(&o.NoSettle, "no-settle", false, "do not wait until the old pods are gone")
	f.BoolVar(&o.ForceConflicts, "force-conflicts", false, "take over fields that other managers own")
	f.BoolVar(&o.Force, "force", false, "continue even if running steps would be lost, or another rollout is running")
	f.DurationVar(&o.LockWait, "lock-wait", 0, "how long to wait while another rollout is running (default: not at all)")
}

// addStrategy adds the flag that says how the new pods replace the old ones.
func (o *rolloutOptions) addStrategy(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(
		(*string)(&o.Switch.Strategy),
		"strategy",
		"",
		`"switch" (prove the new version before it serves, then switch), "rolling", or "auto": `+
			"switch where that is possible, otherwise rolling (default: deploy.strategy, auto)",
	)
}

// addSwitch adds the flags that say how the new version replaces the old one.
func (o *rolloutOptions) addSwitch(c *cobra.Command) {
	f := c.Flags()
	f.DurationVar(&o.Switch.DrainTimeout, "drain-timeout", 0, "how long to wait for steps on the old pods (default: deploy.drainTimeout, 30m)")
	f.DurationVar(
		&o.Switch.Bake,
		"bake",
		0,
		"watch the new version this long after the switch, and go back if it does worse than the old one (default: deploy.bake, not at all)",
	)
	f.BoolVar(&o.Prepull, "prepull", false, "let the nodes pull and try the image before anything changes (default: deploy.prepull)")
	f.BoolVar(&o.Switch.Resume, "resume", false, "continue a switch that another run has started, with its image unless --tag names one")
}

// completeSwitch fills in what the configuration says.
func (o *rolloutOptions) completeSwitch() {
	d, s := o.Worker.Deploy, &o.Switch
	o.Prepull = o.Prepull || d.Prepull
	if s.Strategy == "" {
		s.Strategy = handover.Strategy(d.Strategy)
	}
	if s.DrainTimeout == 0 {
		s.DrainTimeout = d.DrainTimeout
	}
	if s.Bake == 0 {
		s.Bake = d.Bake
	}
	if s.Resume && s.Strategy == handover.StrategyRolling {
		s.Strategy = handover.StrategyAuto // only a switch can be resumed
	}
}

// checkSwitch refuses unknown strategies and negative times.
func (o *rolloutOptions) checkSwitch() error {
	switch s := o.Switch; {
	case !slices.Contains([]handover.Strategy{"", handover.StrategyAuto, handover.StrategySwitch, handover.StrategyRolling}, s.Strategy):
		return pipeline.UsageErrorf(pipeline.CodeUsage, "use auto, switch or rolling", "--strategy %q is not known", s.Strategy)
	case s.DrainTimeout < 0:
		return pipeline.UsageErrorf(pipeline.CodeUsage, "give it as 90s or 30m", "--drain-timeout %s is below zero", s.DrainTimeout)
	case s.Bake < 0:
		return pipeline.UsageErrorf(pipeline.CodeUsage, "give it as 90s or 5m", "--bake %s is below zero", s.Bake)
	}
	return nil
}

// addRestart adds the flags that say what happens to steps that are executing.
func (o *rolloutOptions) addRestart(c *cobra.Command) {
	f := c.Flags()
	f.Var(&o.waitIdle, "wait-idle", "wait up to this long until no step is executing; with no value, wait indefinitely (default: not at all)")
	f.Lookup("wait-idle").NoOptDefVal = "forever"
	f.DurationVar(&o.Steps.MaxStepLoss, "max-step-loss", 0, "let steps that have run for less than this be retried; refuse older ones")
	f.BoolVar(&o.Steps.RerunLost, "rerun-lost", false, "start the runs again that the rollout has killed")
}

// complete fills in from the configuration what the flags leave open.
func (o *rolloutOptions) complete(k *factory) (err error) {
	if err := o.checkTag(); err != nil {
		return err
	}
	if err := o.inngest.validate(); err != nil {
		return err
	}
	if err := o.readConfirmData(); err != nil {
		return err
	}
	if o.Target, err = k.target(); err != nil {
		return err
	}
	w := o.Worker
	if err := o.inngest.complete(w.Inngest); err != nil {
		return err
	}
	o.inngest.into(&o.Inngest)
	leaveOut(&o.Inngest, o.Inngest.Off, w.Inngest)
	o.Steps.WaitIdle, o.Steps.IdleTimeout = o.waitIdle.Given, o.waitIdle.Limit
	if o.Timeout == 0 {
		o.Timeout = w.Deploy.Timeout
	}
	if err := completeProbe(&o.Probe, w.Probe); err != nil {
		return err
	}
	if o.Image.Repository.IsZero() {
		o.Image.Repository = w.Image
	}
	o.completeSwitch()
	return o.completeManifest(k)
}

// completeManifest finds the manifest files, and reads standard input once, because
// the checks and the apply each load the manifest.
func (o *rolloutOptions) completeManifest(k *factory) (err error) {
	m := &o.Manifest
	m.Named = len(m.Filenames) > 0 || m.Kustomize != ""
	if !m.Named && !m.ImageOnly {
		if !o.InCheckout {
			m.ImageOnly = true
			return nil
		}
		m.Filenames = []string{o.Path(o.Worker.Deploy.Manifest)}
	}
	*m = rollout.PlaceManifest(*m, o.Dir)
	for i, name := range m.Filenames {
		switch {
		case name == "-" && m.Stdin == nil:
			if m.Stdin, err = io.ReadAll(k.env.In); err != nil {
				return err
			}
		case name != "-" && !isURL(name) && !filepath.IsAbs(name):
			m.Filenames[i] = filepath.Join(o.Dir, name)
		}
	}
	return nil
}

// checkTag finds mistakes in the flags themselves, before the configuration and the
// kubeconfig are read.
func (o *rolloutOptions) checkTag() error {
	// --image NAME:TAG@sha256:… is what `gh sbw publish` prints, so it may be
	// passed on as it is.
	if o.imageFlag != "" {
		ref, err := imageref.Parse(o.imageFlag)
		if err != nil {
			return err
		}
		if o.Image.Tag != "" && ref.Tag != "" && o.Image.Tag != ref.Tag {
			return pipeline.UsageErrorf(pipeline.CodeUsage, "give the tag once", "--image names tag %q and --tag is %q", ref.Tag, o.Image.Tag)
		}
		ref.Tag = cmp.Or(ref.Tag, o.Image.Tag)
		o.Image.Reference = ref
	}
	switch {
	case o.Image.Digest != "" && o.Image.NoPin:
		return pipeline.UsageErrorf(
			pipeline.CodeUsage,
			"leave out --no-pin, or the digest",
			"--image names a digest, which --no-pin would leave out",
		)
	case o.Image.Tag != "":
		return imageref.CheckTag(o.Image.Tag)
	case o.Image.Digest == "" && !o.tagOptional && !o.Switch.Resume:
		return pipeline.UsageErrorf(
			pipeline.CodeUsage,
			"give it with --tag; `gh sbw tags` lists what is published",
			"there is no tag to roll out",
		)
	}
	return nil
}

// readConfirmData reads the data of --confirm-run's event.
func (o *rolloutOptions) readConfirmData() error {
	if o.Inngest.ConfirmEvent == "" {
		for _, f := range []struct{ flag, value string }{{"--confirm-data", o.confirmData}, {"--event-key-from", o.inngest.eventKeyFrom}} {
			if f.value != "" {
				return pipeline.UsageErrorf(pipeline.CodeUsage, "name the event with --confirm-run", "%s needs an event", f.flag)
			}
		}
	}
	if o.confirmData == "" {
		return nil
	}
	if err := json.Unmarshal([]byte(o.confirmData), &o.Inngest.ConfirmData); err != nil {
		return pipeline.UsageErrorf(pipeline.CodeUsage, `write it as '{"seconds": 1}'`, "--confirm-data is not a JSON object: %s", err)
	}
	return nil
}

func (o *rolloutOptions) validate() error {
	switch {
	case o.Timeout <= 0:
		return pipeline.UsageErrorf(pipeline.CodeUsage, "give it as 90s or 3m", "--timeout %s is not above zero", o.Timeout)
	case o.LockWait < 0:
		return pipeline.UsageErrorf(pipeline.CodeUsage, "give it as 90s or 5m", "--lock-wait %s is below zero", o.LockWait)
	case o.Steps.MaxStepLoss < 0:
		return pipeline.UsageErrorf(pipeline.CodeUsage, "give it as 30s", "--max-step-loss %s is below zero", o.Steps.MaxStepLoss)
	}
	switch o.DryRun {
	case rollout.DryRunNone, rollout.DryRunClient, rollout.DryRunServer:
	default:
		return pipeline.UsageErrorf(pipeline.CodeUsage, "use none, client or server", "--dry-run=%s is not known", o.DryRun)
	}
	if err := o.checkSwitch(); err != nil {
		return err
	}
	if err := o.checkNoInngest(); err != nil {
		return err
	}
	return o.checkFiles()
}

// checkFiles refuses a manifest that does not exist.
func (o *rolloutOptions) checkFiles() error {
	for _, name := range o.Manifest.Filenames {
		if name == "-" || isURL(name) {
			continue
		}
		_, err := os.Stat(name)
		if err == nil {
			continue
		}
		why := err
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			why = pe.Err
		}
		f := pipeline.UsageErrorf(codeManifestMissing,
			"give it with -f, set deploy.manifest in "+worker.ConfigName+", or use --image-only", "there is no manifest at %s", o.Short(name))
		f.Why, f.Err = why.Error(), err
		return f
	}
	return nil
}

func isURL(s string) bool { return strings.Contains(s, "://") }

// checkNoInngest refuses flags that would be ignored without Inngest.
func (o *rolloutOptions) checkNoInngest() error {
	if !o.Inngest.Off {
		return nil
	}
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"--wait-idle", o.waitIdle.Given}, {"--max-step-loss", o.Steps.MaxStepLoss != 0}, {"--rerun-lost", o.Steps.RerunLost},
		{"--confirm-run", o.Inngest.ConfirmEvent != ""}, {"--prune-stale", o.Inngest.PruneStale},
	} {
		if f.given {
			return pipeline.UsageErrorf(pipeline.CodeUsage, "leave one of them out", "%s needs Inngest, which %s turns off", f.name, o.Inngest.OffBy)
		}
	}
	return nil
}
