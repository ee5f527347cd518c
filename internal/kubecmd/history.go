package kubecmd

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/revision"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/receipt"
	"github.com/joelhooks/gh-sbw/internal/ui"
)

func newHistory(k *kube) *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:   "history [flags]",
		Short: "List what was rolled out: tag, digest, commit, who, when, how long, how it ended",
		Long: `List what was rolled out into this workload, by whomever: the runs of kubectl sbw, which stand on
the workload itself, and the revisions that the cluster keeps. REVISION is what 'undo --to-revision'
takes; the one that runs is marked. A run without one can be repeated with 'rollout --tag'.`,
		Example: `  # what was shipped lately
  kubectl sbw history

  # with whole digests, the functions that were registered, and the change cause
  kubectl sbw history -o wide`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			s, err := k.complete()
			if err != nil {
				return err
			}
			all, err := s.history(c.Context())
			if f := warning(err); f != nil {
				k.env.Warn("read the history", f)
			} else if err != nil {
				return err
			}
			if output == "json" || output == "yaml" {
				return cli.PrintObject(k.env.Out, output, all)
			}
			return printHistory(k.env, all, output == "wide")
		},
	}
	cli.AddOutput(c, &output, "wide", "json", "yaml")
	return c
}

// past is a line of the history: a run, with the revision that it made if the
// cluster has it still, or a revision that no run tells of.
type past struct {
	Command   string    `json:"command,omitempty"` // rollout or undo; empty: not by kubectl sbw
	Started   time.Time `json:"started"`
	Seconds   float64   `json:"seconds,omitempty"`
	Image     string    `json:"image"`
	Tag       string    `json:"tag,omitempty"`
	Digest    string    `json:"digest,omitempty"`
	Commit    string    `json:"commit,omitempty"`
	Dirty     bool      `json:"dirty,omitempty"`
	By        string    `json:"by,omitempty"`
	End       string    `json:"end,omitempty"` // done, restored, left, unchanged
	Functions int       `json:"functions,omitempty"`
	Revision  int64     `json:"revision,omitempty"`
	Current   bool      `json:"current"` // it is what runs
	Pods      int32     `json:"pods"`
	Cause     string    `json:"cause,omitempty"` // kubernetes.io/change-cause
}

func (s *scope) revisions(ctx context.Context) ([]revision.Revision, error) {
	kube, err := s.conn.Kube()
	if err != nil {
		return nil, err
	}
	w, err := workload.Get(ctx, kube, s.ref)
	if err != nil {
		return nil, err
	}
	all, err := revision.List(ctx, kube, w)
	// A history that cannot be read marks nothing.
	runs, _ := receipt.History(w.Object().GetAnnotations())
	markFailed(all, runs, s.worker.Deploy.Container)
	return all, err
}

// markFailed marks the revisions whose image every run had to give up that
// rolled it out: nobody wants to go back to them. One that ran well once is not
// marked, since what failed later may have been something else.
func markFailed(all []revision.Revision, runs []receipt.Entry, container string) {
	well, failed := map[string]bool{}, map[string]bool{}
	for _, e := range runs {
		switch e.End {
		case pipeline.Done.String():
			well[e.Image] = true
		case pipeline.Restored.String(), pipeline.Left.String():
			failed[e.Image] = true
		}
	}
	for i, r := range all {
		image := receipt.ParseImage(imageIn(r.Template, container)).String()
		all[i].Failed = failed[image] && !well[image]
	}
}

// history reads runs and revisions, the newest first. Whoever may read the
// workload alone gets its runs; the error is then a warning.
func (s *scope) history(ctx context.Context) ([]past, error) {
	kube, err := s.conn.Kube()
	if err != nil {
		return nil, err
	}
	w, err := workload.Get(ctx, kube, s.ref)
	if err != nil {
		return nil, err
	}
	runs, unread := receipt.History(w.Object().GetAnnotations())
	revisions, err := revision.List(ctx, kube, w)
	if f := notAllowed(err); f != nil {
		unread = f
	} else if err != nil {
		return nil, err
	}
	return pasts(runs, revisions, s.worker.Deploy.Container), unread
}

// notAllowed is err as a warning when it is a lack of rights, else nil.
func notAllowed(err error) *pipeline.Finding {
	if !isCode(err, "cluster-forbidden") {
		return nil
	}
	f := *pipeline.AsFindings("", err)[0]
	f.Severity = pipeline.Warning
	return &f
}

// pasts puts runs and revisions together, the newest first. A revision belongs
// to the last run that ended well in it: one may have come back to it.
func pasts(runs []receipt.Entry, revisions []revision.Revision, container string) []past {
	all := []past{}
	taken := map[string]bool{}
	for _, e := range runs {
		image := receipt.ParseImage(e.Image)
		p := past{Command: e.Command, Started: e.At, Seconds: e.Seconds, Image: e.Image, Tag: image.Tag, Digest: image.Digest,
			Commit: e.Commit, Dirty: e.Dirty, By: e.By, End: endWord(e.End), Functions: e.Functions}
		i := slices.IndexFunc(revisions, func(r revision.Revision) bool { return r.Name == e.Revision })
		if e.End == pipeline.Done.String() && i >= 0 && !taken[e.Revision] {
			taken[e.Revision] = true
			p.of(revisions[i])
		}
		all = append(all, p)
	}
	for _, r := range revisions {
		if taken[r.Name] {
			continue
		}
		image := receipt.ParseImage(imageIn(r.Template, container))
		p := past{Started: r.Created.UTC(), Image: image.String(), Tag: image.Tag, Digest: image.Digest}
		p.of(r)
		all = append(all, p)
	}
	slices.SortStableFunc(all, func(a, b past) int { return b.Started.Compare(a.Started) })
	return all
}

func (p *past) of(r revision.Revision) {
	p.Revision, p.Current, p.Pods, p.Cause = r.Number, r.Current, r.Pods, r.Annotations[apply.ChangeCause]
}

// endWord is the one word for how a run ended, of the words that stand in a
// receipt.
func endWord(text string) string {
	for _, e := range []pipeline.End{pipeline.Done, pipeline.Unchanged, pipeline.RefusedByPreflight, pipeline.Restored, pipeline.Left} {
		if e.String() == text {
			return ui.EndWord(e)
		}
	}
	return text
}

func printHistory(env *cli.Env, all []past, wide bool) error {
	header := []string{"REVISION", "TAG", "DIGEST", "COMMIT", "BY", "AGE", "TOOK", "OUTCOME"}
	if wide {
		header = append(header, "PODS", "FUNCTIONS", "CAUSE")
	}
	rows := ui.NewRows(env.Style(env.Out), header...)
	for _, p := range all {
		cells := []string{"-", orDash(p.Tag), orDash(p.Digest), orDash(p.Commit), orDash(p.By), ui.FormatDuration(time.Since(p.Started).Round(time.Second)), "-", orDash(p.End)}
		if p.Revision != 0 {
			cells[0] = strconv.FormatInt(p.Revision, 10)
		}
		if p.Current {
			cells[0] += " *"
		}
		if !wide && p.Digest != "" {
			cells[2] = shortDigest(p.Digest)
		}
		if p.Dirty {
			cells[3] += "+changes"
		}
		if p.Command != "" {
			cells[6] = ui.FormatDuration(time.Duration(p.Seconds * float64(time.Second)))
		}
		if p.Command == "undo" {
			cells[7] += " (undo)"
		}
		if wide {
			functions := "-"
			if p.Functions > 0 {
				functions = strconv.Itoa(p.Functions)
			}
			cells = append(cells, strconv.Itoa(int(p.Pods)), functions, p.Cause)
		}
		rows.Add(cells...)
	}
	return rows.Print(env.Out)
}

// shortDigest is a digest as container tools abbreviate it.
func shortDigest(digest string) string {
	_, hex, _ := strings.Cut(digest, ":")
	return hex[:min(len(hex), 12)]
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
