package rollout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/preflight"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/receipt"
	"github.com/joelhooks/gh-sbw/internal/units"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// stateOf judges the workload. If its pods may not be read, only the counts in the
// workload's status are used.
func (t *Target) stateOf(ctx context.Context, kube kubernetes.Interface, w *workload.Workload, to *Status) {
	w = handover.Thawed(w) // the switch is reported by itself
	v, err := preflight.Status(ctx, kube, w)
	if apierrors.IsForbidden(err) {
		v = verdict.ByStatus(w, time.Now())
	}
	to.find("the pods", cluster.Explain("read the pods of "+t.Ref.String(), err))
	to.Verdict = v
	if v.Cause != nil {
		to.Findings = append(to.Findings, v.Cause.Finding())
	}
	if c := verdict.HeldBack(w); c != nil && v.Cause == nil { // the next rollout would be refused
		to.Findings = append(to.Findings, c.Finding().WithSeverity(pipeline.Warning))
	}
	if f := preflight.NoReplicas(w); f != nil {
		to.Findings = append(to.Findings, f)
	}
}

// shippedOf compares the running image with the one that the workload's history says was shipped last.
func (t *Target) shippedOf(w *workload.Workload, to *Status) {
	annotations := w.Object().GetAnnotations()
	runs, err := receipt.History(annotations)
	to.find("the history", err)
	if len(runs) > 0 {
		last := pasts(runs[:1], nil, t.container())
		to.LastRun = &last[0]
	}
	if store, err := receipt.Open(t.Getenv); err == nil { // without a store there are no receipts on this machine
		last, err := store.Latest(t.Worker.Name, func(r *receipt.Receipt) bool {
			at := r.Target
			return at != nil && at.Context == t.Conn.Context && at.Namespace == t.Ref.Namespace && at.Name == t.Ref.Name && at.Kind == t.Ref.Kind
		})
		to.find("the receipts", err)
		if last != nil {
			to.Receipt = last.Path
		}
	}
	to.Shipped = annotations[receipt.AnnotationImage]
	switch {
	case to.Shipped == "":
		to.Findings = append(to.Findings, &pipeline.Finding{Code: CodeNeverShipped, Severity: pipeline.Note,
			What: "nothing on " + t.Ref.String() + " says what was shipped", Why: "the next `kubectl sbw rollout` records it there"})
	case !sameShipped(to.Shipped, to.Image):
		to.Findings = append(
			to.Findings,
			&pipeline.Finding{
				Code:     CodeDriftImage,
				Severity: pipeline.Error,
				Where:    t.Ref.Namespace + "/" + t.Ref.String(),
				What:     "the running image is not the one that was shipped",
				Why:      fmt.Sprintf("%s was shipped, but the pod template has %s", to.Shipped, to.Image),
				Fix:      "roll out the tag that should run; `kubectl sbw history` shows who did what",
			},
		)
	}
}

// sameShipped reports whether a pod template has the image that was shipped. An image
// that was applied without its digest (--no-pin) is compared by its tag.
func sameShipped(shipped, runs string) bool {
	if imageref.Split(runs).Digest == "" {
		return imageref.Split(shipped).Tagged().String() == runs
	}
	return shipped == runs
}

// ManifestState is how the checkout's manifest file compares with the cluster.
type ManifestState struct {
	File  string `json:"file"`
	Image string `json:"image"` // the image that the file names
	// Differs lists the objects that applying the file would change. It is nil, and
	// absent from the JSON, if the cluster could not be asked.
	Differs []string `json:"differs,omitzero"`
	asked   bool
	// lacks means that the cluster has something that the file does not contain, and that
	// applying the file would not remove.
	lacks bool
}

// String describes the comparison in one line.
func (m *ManifestState) String() string {
	switch {
	case !m.asked:
		return m.File + " names " + m.Image
	case len(m.Differs) == 0 && m.lacks:
		return m.File + " does not contain everything that the cluster has"
	case len(m.Differs) == 0:
		return m.File + " is what the cluster has"
	}
	return fmt.Sprintf("%s differs in %s", m.File, strings.Join(m.Differs, ", "))
}

// manifestOf asks the API server in a dry run what applying the unchanged file would
// change. That needs permission to patch even though nothing is written; without it
// only the image is compared.
func (t *Target) manifestOf(ctx context.Context, w *workload.Workload, to *Status) {
	file := t.Path(t.Worker.Deploy.Manifest)
	if _, err := os.Stat(file); !t.InCheckout || err != nil {
		return // there is no checkout here
	}
	f := &facts{Target: t, manifest: PlaceManifest(ManifestOptions{Filenames: []string{file}}, t.Dir)}
	all, err := f.source(ctx, nil)
	if err != nil {
		to.find("the manifest", lightly("look at the manifest", err))
		return
	}
	m := &ManifestState{File: t.Short(file)}
	for _, one := range all {
		if t.isTarget(one) {
			if typed, err := apply.Typed(one.Unstructured); err == nil { // the dry run refuses invalid objects
				m.Image = imageIn(typed.Template(), t.container())
			}
		}
	}
	to.Manifest = m
	if kube, err := t.Conn.Kube(); err != nil {
		to.find("the manifest's Services", err)
	} else {
		unmatched, err := preflight.Services(ctx, kube, all)
		to.Findings = append(to.Findings, t.shorten(unmatched)...)
		to.find("the manifest's Services", lightly("look at the manifest's Services", err))
	}
	results, err := apply.Judge(ctx, t.Conn, all, apply.Options{Force: true, Target: t.Ref, Container: t.container()})
	m.asked = true
	for _, f := range pipeline.AsFindings("look at the manifest", err) {
		switch {
		case f.Is(apply.CodeLeftover):
			m.lacks = true
			to.Findings = append(to.Findings, t.shorten([]*pipeline.Finding{f})...)
		case f.Is(apply.CodeGitOps), f.Is(apply.CodeExported): // about a rollout
		default:
			if !m.asked && isForbidden(f) {
				continue // the same holds for every object
			}
			m.asked = false
			to.find("what the manifest would change", t.shorten(asWarnings([]*pipeline.Finding{f}))[0])
		}
	}
	if m.asked {
		m.Differs = []string{}
	}
	for _, one := range results {
		if one.Action != apply.Unchanged && m.asked {
			m.Differs = append(m.Differs, one.String())
		}
	}
	live := imageIn(w.Template(), t.container())
	if len(m.Differs) > 0 || m.Image != live {
		f := &pipeline.Finding{
			Code:     CodeDriftManifest,
			Severity: pipeline.Warning,
			Where:    m.File,
			What:     "the manifest differs from the cluster",
			Fix:      "see the difference with `kubectl sbw rollout --tag TAG --dry-run=server --diff`",
		}
		if m.Image != live {
			f.Why = fmt.Sprintf("it names %s, but %s is running", m.Image, live)
		} else {
			f.Why = "it would change " + units.List(m.Differs)
		}
		to.Findings = append(to.Findings, f)
	}
}

// lightly lowers errors to warnings where they concern something that does not
// decide the outcome, such as a file that nobody has shipped.
func lightly(during string, err error) error {
	var all []error
	for _, f := range asWarnings(pipeline.AsFindings(during, err)) {
		all = append(all, f)
	}
	return errors.Join(all...)
}

// functionsOf compares the registered functions with the catalog of the running
// image. It is not the worker's fault if the registry cannot be reached from here.
func (t *Target) functionsOf(ctx context.Context, w *workload.Workload, to *Status) {
	if to.Inngest.App == nil {
		return // reported already
	}
	c, err := t.RunningCatalog(ctx, w)
	if err != nil {
		to.Findings = append(to.Findings, unreadable("the functions that the image was built with", err))
		return
	}
	if c == nil {
		return
	}
	now := inCatalogsTerms(to.Inngest.App.Functions)
	index, ok := c.Match(now)
	if !ok || index.Incomplete {
		return // the catalog cannot say
	}
	d := catalog.Diff(now, index.Functions)
	to.Functions = "the registered functions"
	if d.Empty() {
		return
	}
	// Diff describes what a rollout of the catalog would do.
	var missing, extra []string
	for _, f := range d.Added {
		missing = append(missing, f.ID)
	}
	for _, f := range d.Removed {
		extra = append(extra, f.ID)
	}
	to.Functions = fmt.Sprintf(
		"%s; compared with the registered ones: %s",
		units.Count(len(index.Functions), "function", "functions"),
		d.Summary(),
	)
	if len(missing)+len(extra) == 0 {
		return
	}
	f := &pipeline.Finding{
		Code:     CodeDriftFunctions,
		Severity: pipeline.Error,
		What:     "the registered functions are not those that the image was built with",
		Fix:      "run `kubectl sbw refresh`, with --allow-removal if functions should be removed",
	}
	var why []string
	if len(missing) > 0 {
		why = append(why, "not registered: "+units.List(missing))
	}
	if len(extra) > 0 {
		why = append(why, "not in the image: "+units.List(extra))
	}
	f.Why = strings.Join(why, "; ")
	to.Findings = append(to.Findings, f)
}

// catalogWithin bounds the request to the registry, since the status is useful
// without its answer.
const catalogWithin = 10 * time.Second

// RunningCatalog reads the catalog of the image that the pod template names, with the
// pod's own pull secrets. It returns nil if the image has none.
func (t *Target) RunningCatalog(ctx context.Context, w *workload.Workload) (*catalog.Catalog, error) {
	ctx, cancel := context.WithTimeout(ctx, catalogWithin)
	defer cancel()
	container, err := w.Container(t.container())
	if err != nil {
		return nil, err
	}
	ref, err := imageref.Parse(container.Image)
	if err != nil {
		return nil, err
	}
	kube, err := t.Conn.Kube()
	if err != nil {
		return nil, err
	}
	keys, _, err := preflight.PullSecrets(ctx, kube, w)
	if err != nil {
		return nil, err
	}
	// The digest identifies what is running, even if the tag has been moved since.
	img, err := lookUp(ctx, ref, keys.For(ref.Repository.String()))
	if err != nil {
		return nil, err
	}
	text := img.Label(worker.LabelCatalog)
	if text == "" {
		return nil, nil
	}
	return catalog.Decode(text)
}
