package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster/handover"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/probe"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// Status is everything that is known about a worker. Fields are added and never
// renamed.
type Status struct {
	Workload  string          `json:"workload" doc:"the workload, as KIND/NAME"`
	Namespace string          `json:"namespace" doc:"its namespace"`
	Context   string          `json:"context,omitempty" doc:"the kubeconfig's context"`
	Image     string          `json:"image" doc:"the image that the workload names"`
	Verdict   verdict.Verdict `json:"verdict" doc:"the state of the rollout, with state, cause, wanted, updated, ready, pods"`
	Shipped   string          `json:"shipped,omitempty" doc:"the image that was last shipped with success, as recorded on the workload"`
	LastRun   *Past           `json:"lastRun,omitempty" doc:"the last run, successful or not, as in history"`
	Receipt   string          `json:"receipt,omitempty" doc:"the file of its receipt, if it was run on this machine"`
	Manifest  *ManifestState  `json:"manifest,omitempty" doc:"the manifest file compared with the cluster, with file, image, differs"`
	Functions string          `json:"functions,omitempty" doc:"how the registered functions differ from those that the image was built with"`
	Lock      string          `json:"lock,omitempty" doc:"who holds the lock of the rollout"`
	Handover  string          `json:"handover,omitempty" doc:"how far an unfinished switch has got"`
	NoInngest string          `json:"noInngest,omitempty" doc:"the setting that turns Inngest off; the pods are then probed"`
	Probes    []probe.Answer  `json:"probes,omitempty" doc:"what the pods answered, without Inngest"`
	Inngest   *inngest.Report `json:"inngest,omitempty" doc:"what the Inngest server and the worker report"`
	// Findings are printed by the command together with its own.
	Findings []*pipeline.Finding `json:"-"`
	// Pods describes the results of the probes.
	Pods string `json:"-"`
	Well bool   `json:"well" doc:"the verdict: whether the worker is well"`
}

// find adds what prevented a check. A lack of permissions is noted and does not affect the
// verdict.
func (s *Status) find(what string, err error) {
	for _, f := range pipeline.AsFindings(cannotCheck+what, err) {
		if isForbidden(f) {
			f = unreadable(what, f)
		}
		s.Findings = append(s.Findings, f)
	}
}

// cannotCheck begins the What of a finding with the code CodeNotChecked.
const cannotCheck = "cannot check "

// unreadable is a note about missing permissions.
func unreadable(what string, err error) *pipeline.Finding {
	f := &pipeline.Finding{Code: CodeNotChecked, Severity: pipeline.Note, Err: err, What: cannotCheck + what, Why: err.Error(),
		Fix: "get permission to read it if it should be part of the verdict"}
	if found, ok := errors.AsType[*pipeline.Finding](err); ok {
		f.Why = strings.TrimSuffix(found.What+": "+found.Why, ": ")
	}
	return f
}

// Status asks the cluster, the registry and Inngest for the state of the worker. It
// fails only if the workload itself cannot be read.
func (t *Target) Status(ctx context.Context, o InngestOptions, p worker.Probe) (*Status, error) {
	kube, err := t.Conn.Kube()
	if err != nil {
		return nil, err
	}
	w, err := workload.Get(ctx, kube, t.Ref)
	if err != nil {
		return nil, err
	}
	if w, err = t.caughtUp(ctx, w); err != nil {
		return nil, err
	}
	s := &Status{Workload: t.Ref.String(), Namespace: t.Ref.Namespace, Context: t.Conn.Context,
		Image: imageIn(w.Template(), t.container()), Findings: []*pipeline.Finding{}}
	t.stateOf(ctx, kube, w, s)
	who, tag, err := lock.Holder(ctx, kube, t.Ref)
	s.find("whether somebody is rolling out", err)
	if who != "" {
		s.Lock = fmt.Sprintf("%s is rolling out %s", who, tag)
	}
	held, err := t.held(ctx)
	s.find("whether a switch is unfinished", err)
	if held != nil {
		p := handover.Decide(held)
		if s.Handover = string(p.Stage); p.Stage == handover.NotHeld {
			s.Handover = ""
		}
		if f := t.unfinished(p); f != nil {
			s.Findings = append(s.Findings, f)
		}
	}
	warm, err := t.warmUps(ctx)
	s.find("whether a warm-up pod was left", err)
	s.Findings = append(s.Findings, warm...)
	if f := t.earlier(w, t.left); f != nil {
		s.Findings = append(s.Findings, f.With(func(f *pipeline.Finding) {
			f.Severity = pipeline.Warning
			if f.Is(pipeline.CodeRunKilled) {
				f.Fix = "run it again to continue from there, or go back with `kubectl sbw undo`"
			}
		}))
	}
	t.shippedOf(w, s)
	t.manifestOf(ctx, w, s)
	if o.Off {
		s.NoInngest = o.OffBy
		t.probeOf(ctx, p, s)
	} else {
		t.inngestOf(ctx, w, o, s)
	}
	s.Well = s.Verdict.State == verdict.Complete &&
		!slices.ContainsFunc(s.Findings, func(f *pipeline.Finding) bool { return f.Severity == pipeline.Error })
	return s, ctx.Err()
}

// probeOf probes the ready pods as a rollout would. Pods that are not ready are
// reported by the verdict.
func (t *Target) probeOf(ctx context.Context, p worker.Probe, s *Status) {
	if p.Type == worker.ProbeNone {
		s.Pods = "none (probe: none)"
		return
	}
	o := probe.Options{
		Namespace: t.Ref.Namespace,
		Container: t.container(),
		Type:      p.Type,
		Port:      p.Port,
		Path:      p.Path,
		Expect:    p.Expect,
		Budget:    statusBudget,
	}
	for _, row := range s.Verdict.Pods {
		if row.Ready {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: row.Name, UID: types.UID(row.UID)}, Spec: corev1.PodSpec{NodeName: row.Node}}
			o.Pods = append(o.Pods, pod)
		}
	}
	if len(o.Pods) == 0 {
		return
	}
	var err error
	s.Probes, err = probe.Run(ctx, t.Conn, o)
	s.find("what the pods answer", err)
	well := 0
	for _, a := range s.Probes {
		if a.Problem == "" && a.Attempts > 0 {
			well++
		}
	}
	s.Pods = fmt.Sprintf("%d of %s on port %d by %s", well, count(len(o.Pods), "pod"), p.Port, p.Type)
}

// statusBudget bounds how long a status waits for pods, since the caller wants to know
// their state now.
const statusBudget = 5 * time.Second

// inngestOf reads the state of the server and the worker, and compares the registered
// functions with those that the image was built with.
func (t *Target) inngestOf(ctx context.Context, w *workload.Workload, o InngestOptions, s *Status) {
	c, err := w.Container(t.container())
	if err != nil {
		s.find("the worker", err)
		return
	}
	link, err := t.connect(ctx, c, o)
	if err != nil {
		s.find("the connection to Inngest", err)
		return
	}
	defer func() {
		s.Findings = append(s.Findings, pipeline.AsFindings("cannot close the connection to Inngest", link.Close())...)
	}()
	sdk, err := link.WorkerAt(ctx, "")
	s.find("what the worker serves", err)
	if link.Unsigned != nil {
		s.Findings = append(s.Findings, link.Unsigned)
	}
	s.Inngest, err = inngest.Status(ctx, inngest.ReportOptions{
		Client:     link.Client,
		Worker:     sdk,
		App:        link.App,
		Liveness:   link.Liveness,
		Path:       link.CheckLivePath,
		Allowed:    allowed(t.Worker.Allow.ZeroRetries),
		CronsSince: link.OnServer(ctx, rolledOut(w)),
		URL:        link.Wanted().URL,
		Way:        link.Route,
	})
	if err != nil {
		s.find("what Inngest knows of the worker", link.Explain("ask Inngest", err))
		return
	}
	s.Findings = append(s.Findings, s.Inngest.Findings...)
	t.functionsOf(ctx, w, s)
}
