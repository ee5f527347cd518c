package kubecmd

import (
	"context"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/probe"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

// result is what a rollout or an undo came to, for `-o json` and yaml. It has
// the fields of cli.Failure. Fields are added and never renamed.
type result struct {
	Command   string                 `json:"command"`
	Workload  string                 `json:"workload"`
	Namespace string                 `json:"namespace"`
	Context   string                 `json:"context,omitempty"`
	Tag       string                 `json:"tag,omitempty"`
	Image     string                 `json:"image,omitempty"`
	Previous  string                 `json:"previous,omitempty"` // what ran before
	Revision  int64                  `json:"revision,omitempty"` // that undo went back to
	DryRun    string                 `json:"dryRun,omitempty"`   // client or server
	End       string                 `json:"end"`
	ExitCode  int                    `json:"exitCode"`
	Error     string                 `json:"error,omitempty"`
	Seconds   float64                `json:"seconds"`
	Restored  []string               `json:"restored,omitempty"` // what was put back
	Changes   []change               `json:"changes,omitempty"`  // made, or that a dry run would make
	Objects   []map[string]any       `json:"objects,omitempty"`  // that --dry-run=client would apply
	Diff      string                 `json:"diff,omitempty"`     // with --diff
	Verdict   *verdict.Verdict       `json:"verdict,omitempty"`
	Probes    []probe.Answer         `json:"probes,omitempty"`
	Refreshed *inngest.Refreshed     `json:"registration,omitempty"`
	Lost      []judge.LostRun        `json:"lostRuns,omitempty"`
	Settled   bool                   `json:"oldPodsGone"`
	Findings  []*pipeline.Finding    `json:"findings"`
	Stages    []pipeline.StageRecord `json:"stages"`
}

// change is what became, or would become, of one object.
type change struct {
	Object    string       `json:"object"` // deployment.apps/worker
	Namespace string       `json:"namespace,omitempty"`
	Action    apply.Action `json:"action"`
}

// current is the image that is rolled out, as far as it is known.
func (r *rollout) current() string {
	switch {
	case r.back != nil:
		return imageIn(r.back.Template, r.scope.worker.Deploy.Container)
	case r.command == "undo" && r.target != nil: // back to what was before a killed run
		return imageIn(r.target.Template(), r.scope.worker.Deploy.Container)
	case r.command == "undo":
		return ""
	}
	// Only the value is wanted: whoever failed to find it has told why.
	if img, err := r.img.Get(context.Background()); err == nil {
		return r.reference(img)
	}
	return ""
}

// previous is the image that ran before, "" where nothing did.
func (r *rollout) previous() string {
	live, err := r.live.Get(context.Background())
	if err != nil {
		return "" // told by its check
	}
	return imageIn(live.Template(), r.scope.worker.Deploy.Container)
}

func (r *rollout) result(out pipeline.Outcome) result {
	res := result{
		Command: "kubectl sbw " + r.command, Workload: r.ref.String(), Namespace: r.ref.Namespace, Context: r.conn.Context,
		Tag: r.tag, Image: r.current(), Previous: r.previous(), Restored: r.restored(out),
		End: ui.EndWord(out.End), ExitCode: out.ExitCode(), Seconds: out.Duration.Seconds(),
		Probes: r.answers, Refreshed: r.refreshed, Lost: r.lostRuns, Settled: r.settled,
		Findings: cli.Findings(out), Stages: out.Stages,
	}
	if r.back != nil {
		res.Revision = r.back.Number
	}
	if r.dryRun != "none" {
		res.DryRun = r.dryRun
	}
	for _, one := range r.applied {
		res.Changes = append(res.Changes, change{Object: one.String(), Namespace: one.Namespace, Action: one.Action})
	}
	for _, o := range r.rendered {
		res.Objects = append(res.Objects, o.Object)
	}
	if text, err := r.diffText(); err == nil { // else print says it
		res.Diff = text
	}
	if r.watched.Verdict.State != "" {
		res.Verdict = &r.watched.Verdict
	}
	if out.Err != nil {
		res.Error = out.Err.Error()
	}
	return res
}

// restored names what was put back.
func (r *rollout) restored(out pipeline.Outcome) []string {
	var all []string
	for _, s := range out.Stages {
		if s.Error != "" {
			continue
		}
		switch s.Name {
		case "undo apply":
			was := r.previous()
			if was == "" {
				was = "not there"
			}
			all = append(all, fmt.Sprintf("%s: %s", r.ref, was))
		case "manifest": // of an undo
			if len(r.written) > 0 {
				all = append(all, fmt.Sprintf("%s: %s", r.short(r.written[0].File), r.written[0].New))
			}
		case "undo stamp":
			if len(r.written) > 0 { // the oldest first: its text is what is there again
				all = append(all, fmt.Sprintf("%s: %s", r.short(r.written[0].File), r.written[0].Old))
			}
		}
	}
	return all
}

// print writes the result to stdout: one line, what a dry run would do, or the
// whole of it as asked.
func (r *rollout) print(out pipeline.Outcome) error {
	w := r.env.Out
	switch {
	case r.output == "json" || r.output == "yaml":
		return cli.PrintObject(w, r.output, r.result(out))
	case r.dryRun == "none" && r.diff:
		if err := r.tellDiff(); err != nil {
			return err
		}
	}
	switch {
	case out.End != pipeline.Done:
		return nil
	case r.dryRun != "none":
		return r.printDry(w)
	case r.output == "name":
		_, err := fmt.Fprintln(w, r.ref)
		return err
	}
	_, err := fmt.Fprintf(w, "%s/%s %s\n", r.ref.Namespace, r.ref, r.current())
	return err
}

// printDry says what would be, as kubectl's dry runs do.
func (r *rollout) printDry(w io.Writer) error {
	if r.dryRun == "server" && r.diff && r.output != "name" {
		return r.printDiff(w)
	}
	for _, one := range r.applied {
		line := one.String()
		if r.output != "name" {
			line += fmt.Sprintf(" %s (server dry run)", one.Action)
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	if r.dryRun != "client" {
		return nil
	}
	if r.imageOnly && r.output != "name" {
		_, err := fmt.Fprintf(w, "%s/%s: container %s would get %s\n", r.ref.Namespace, r.ref, r.scope.worker.Deploy.Container, r.current())
		return err
	}
	for _, o := range r.rendered {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return err
		}
		if r.output == "name" {
			text = []byte(nameOf(o.Unstructured) + "\n")
		} else {
			text = append([]byte("---\n"), text...)
		}
		if _, err := w.Write(text); err != nil {
			return err
		}
	}
	return nil
}

func nameOf(u *unstructured.Unstructured) string {
	return fmt.Sprintf("%s/%s", u.GroupVersionKind().GroupKind(), u.GetName())
}

func (r *rollout) diffText() (string, error) {
	if !r.diff {
		return "", nil
	}
	return apply.Diff(r.applied)
}

func (r *rollout) printDiff(w io.Writer) error {
	text, err := r.diffText()
	if err != nil {
		return err
	}
	return ui.PrintDiff(w, r.env.Style(w), text)
}

// tellDiff is printDiff to stderr, as the flags say.
func (r *rollout) tellDiff() error {
	if !r.env.Tell.Events {
		return r.printDiff(r.env.Err)
	}
	text, err := r.diffText()
	if err != nil {
		return err
	}
	return r.env.Notef("%s", text)
}

// close ends what the run opened.
func (r *rollout) close(ctx context.Context, _ *pipeline.Reporter) error {
	return errors.Join(r.held.Release(ctx), r.opened.close())
}

// warning is err as a finding that is no more than a warning, else nil.
func warning(err error) *pipeline.Finding {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok && f.Severity < pipeline.Error {
		return f
	}
	return nil
}
