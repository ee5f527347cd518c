// Package probe checks that the pods of a new revision run the image that was
// shipped, and that they respond. Run asks all pods and returns their answers.
//
// Each pod's imageID is compared with the image's digests: a node names an image that it has
// pulled by the digest of the index or manifest, and one that was imported by hand by the digest
// of its config. Then the pod is asked as Options.Type says: over HTTP through the API server's
// pod proxy, or by port-forward if the proxy is not allowed; over HTTP/2 or TCP by port-forward;
// or not at all. If the answer is the worker's own health page, what it reports is checked as well
// (see Health).
package probe

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
	"github.com/joelhooks/gh-sbw/internal/waiting"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// Codes of this package's findings.
const (
	CodeImage       pipeline.Code = "probe-image"
	CodeStatus      pipeline.Code = "probe-status"
	CodeExpect      pipeline.Code = "probe-expect"
	CodeDuplicates  pipeline.Code = "probe-duplicates"
	CodeUnreachable pipeline.Code = "probe-unreachable"
	CodeForbidden   pipeline.Code = "probe-forbidden"
	CodeNoPods      pipeline.Code = "probe-no-pods"
	CodePath        pipeline.Code = "probe-path"
)

// errFinal marks errors that another try cannot change.
var errFinal = errors.New("asking again does not help")

// Options say which pods to ask, how, and what to expect.
type Options struct {
	Namespace string
	// Pods are those of the new revision, as returned by watch.Result.NewPods.
	Pods      []*corev1.Pod
	Container string   // the container whose image is compared
	Digests   []string // sha256:… of index, manifest and config; none: not compared
	// Type is how pods are asked: worker.ProbeHTTP (the default), worker.ProbeH2C,
	// worker.ProbeTCP or worker.ProbeNone.
	Type   string
	Port   int
	Path   string // with a query if need be; "/" when empty
	Expect string // a substring of the body
	// Budget limits the time for all tries of all pods; 0 means 30 s.
	Budget time.Duration
	// Max is how many pods are asked, spread over nodes; 0 means 32, a negative
	// number all. Images are compared in all pods, because that does not need a
	// request.
	Max      int
	Reporter *pipeline.Reporter
}

// Answer is the answer of one pod.
type Answer struct {
	Pod      string        `json:"pod"`
	UID      string        `json:"uid"`
	Node     string        `json:"node"`
	ImageID  string        `json:"imageID"`
	Type     string        `json:"type"`          // http, h2c, tcp or none
	Via      string        `json:"via,omitempty"` // proxy or port-forward
	Status   int           `json:"status,omitempty"`
	Latency  time.Duration `json:"latency,omitempty"` // of the last try, in nanoseconds
	Attempts int           `json:"attempts,omitempty"`
	Health   *Health       `json:"health,omitempty"`
	Problem  string        `json:"problem,omitempty"`
}

const (
	defaultBudget = 30 * time.Second
	defaultMax    = 32
	concurrency   = 8
	tryTimeout    = 5 * time.Second
	firstPause    = 100 * time.Millisecond
	longestPause  = 2 * time.Second
	bodyLimit     = 1 << 20
)

// Run asks all pods and returns their answers in the order of the pods. The
// error joins one Finding for each pod that failed (probe-image,
// probe-unreachable, probe-status, probe-expect, probe-duplicates,
// probe-forbidden), or is probe-no-pods.
func Run(ctx context.Context, conn *cluster.Conn, o Options) ([]Answer, error) {
	by := get
	switch o.Type {
	case worker.ProbeH2C:
		by = viaH2C
	case worker.ProbeTCP:
		by = viaTCP
	}
	return run(ctx, o, func(ctx context.Context, pod string) (response, error) { return by(ctx, conn, o, pod) })
}

// response is one HTTP answer of a pod.
type response struct {
	status int
	body   []byte
	via    string
}

type asker func(ctx context.Context, pod string) (response, error)

func run(ctx context.Context, o Options, ask asker) ([]Answer, error) {
	if len(o.Pods) == 0 {
		return nil, &pipeline.Finding{Code: CodeNoPods, Severity: pipeline.Error, Where: o.Namespace,
			What: "the new revision has no pods", Fix: "scale the workload to at least 1"}
	}
	if o.Budget == 0 {
		o.Budget = defaultBudget
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Budget, errBudget)
	defer cancel()
	answers, errs := make([]Answer, len(o.Pods)), make([]error, len(o.Pods))
	asked := o.sample()
	if o.Type != worker.ProbeNone && len(asked) < len(o.Pods) {
		o.Reporter.Notef("asking %d of %d pods; the images of all of them are compared", len(asked), len(o.Pods))
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, concurrency)
	for i, pod := range o.Pods {
		answers[i] = Answer{Pod: pod.Name, UID: string(pod.UID), Node: pod.Spec.NodeName, Type: cmp.Or(o.Type, worker.ProbeHTTP)}
		if errs[i] = o.compare(pod, &answers[i]); errs[i] != nil || !asked[pod.Name] {
			continue
		}
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			errs[i] = o.until(ctx, ask, pod, &answers[i])
		})
	}
	wg.Wait()
	for i := range answers {
		if f, ok := errors.AsType[*pipeline.Finding](errs[i]); ok {
			answers[i].Problem = string(f.Code)
		} else if errs[i] != nil {
			answers[i].Problem = errs[i].Error()
		}
		a := answers[i]
		switch {
		case a.Status != 0:
			o.Reporter.Detailf("pod %s answered %d in %s%s", a.Pod, a.Status, a.Latency.Round(time.Millisecond), a.Health.String())
		case o.Type == worker.ProbeTCP && errs[i] == nil && asked[a.Pod]:
			o.Reporter.Detailf("pod %s accepts connections on port %d", a.Pod, o.Port)
		}
	}
	return answers, errors.Join(errs...)
}

var errBudget = errors.New("the time limit of the probe has passed")

// sample returns the names of the pods to ask: the first pod of each node, then
// the second of each, and so on.
func (o Options) sample() map[string]bool {
	if o.Type == worker.ProbeNone {
		return nil
	}
	most := o.Max
	if most == 0 {
		most = defaultMax
	}
	if most < 0 || most > len(o.Pods) {
		most = len(o.Pods)
	}
	turn, order := map[string]int{}, slices.Clone(o.Pods)
	rank := map[string]int{}
	for _, p := range order {
		rank[p.Name] = turn[p.Spec.NodeName]
		turn[p.Spec.NodeName]++
	}
	slices.SortStableFunc(order, func(a, b *corev1.Pod) int { return rank[a.Name] - rank[b.Name] })
	names := map[string]bool{}
	for _, p := range order[:most] {
		names[p.Name] = true
	}
	return names
}

// compare compares a pod's imageID with the digests.
func (o Options) compare(pod *corev1.Pod, a *Answer) error {
	for _, list := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for _, s := range list {
			if s.Name == o.Container {
				a.ImageID = s.ImageID
			}
		}
	}
	if len(o.Digests) == 0 || slices.Contains(o.Digests, digestOf(a.ImageID)) {
		return nil
	}
	why := "it runs " + a.ImageID
	if a.ImageID == "" {
		why = "the node does not report which image it runs"
	}
	return &pipeline.Finding{
		Code:     CodeImage,
		Severity: pipeline.Error,
		Where:    o.Namespace + "/pod/" + pod.Name,
		What: fmt.Sprintf(
			"pod %s does not run the image that was shipped",
			pod.Name,
		),
		Why: why + "; the shipped image is " + strings.Join(o.Digests, " or "),
		Fix: "roll out by digest (without --no-pin): a mutable tag or imagePullPolicy IfNotPresent may have kept an old image",
	}
}

// digestOf returns the digest in an imageID: NAME@sha256:… or sha256:…, with or
// without a runtime's scheme as prefix.
func digestOf(imageID string) string {
	if i := strings.LastIndex(imageID, "sha256:"); i >= 0 {
		return imageID[i:]
	}
	return imageID
}

// until asks one pod until it gives a good answer, the budget is used up, or
// another try would not help.
func (o Options) until(ctx context.Context, ask asker, pod *corev1.Pod, a *Answer) error {
	var last error
	for wait := firstPause; ; wait = min(2*wait, longestPause) {
		a.Attempts++
		one, cancel := context.WithTimeout(ctx, tryTimeout)
		start := time.Now()
		r, err := ask(one, a.Pod)
		cancel()
		if err == nil {
			a.Status, a.Via, a.Latency = r.status, r.via, time.Since(start)
			a.Health = parseHealth(r.body)
			err = o.judge(r, a)
		}
		if err == nil {
			return nil
		}
		// If the budget cut this try short, the previous error says more.
		if ctx.Err() == nil || last == nil {
			last = err
		}
		if errors.Is(err, errFinal) || apierrors.IsUnauthorized(err) {
			return err
		}
		if goneForGood(pod, err) {
			return o.unanswered(a, err)
		}
		if err := waiting.For(ctx, wait); errors.Is(err, errBudget) {
			return o.unanswered(a, last)
		} else if err != nil {
			return err
		}
	}
}

// goneForGood reports whether the API server does not know a pod whose name no other
// pod will get. Other controllers than a ReplicaSet may create it again.
func goneForGood(pod *corev1.Pod, err error) bool {
	owner := metav1.GetControllerOf(pod)
	return apierrors.IsNotFound(err) && owner != nil && owner.Kind == "ReplicaSet"
}

func (o Options) judge(r response, a *Answer) error {
	where := o.Namespace + "/pod/" + a.Pod
	switch {
	case o.Type == worker.ProbeTCP:
		return nil // the connection was accepted
	// As for the kubelet (pkg/probe/http), 2xx and 3xx are successes.
	case r.status < http.StatusOK || r.status >= http.StatusBadRequest:
		return &pipeline.Finding{Code: CodeStatus, Severity: pipeline.Error, Where: where,
			What: fmt.Sprintf("pod %s answers %d on port %d %s", a.Pod, r.status, o.Port, o.path()), Why: excerpt(r.body),
			Fix: "read its log, or probe another path with --probe-path"}
	case o.Expect != "" && !strings.Contains(string(r.body), o.Expect):
		return &pipeline.Finding{
			Code:     CodeExpect,
			Severity: pipeline.Error,
			Where:    where,
			What: fmt.Sprintf(
				"pod %s answers without %q",
				a.Pod,
				o.Expect,
			),
			Why: excerpt(r.body),
			Fix: "check that it is the intended version, or change the expected text with --probe-expect",
		}
	case a.Health != nil && a.Health.HasDuplicates:
		return &pipeline.Finding{Code: CodeDuplicates, Severity: pipeline.Error, Where: where, Err: errFinal,
			What: fmt.Sprintf("pod %s registers functions with the same id twice", a.Pod), Why: strings.Join(a.Health.Duplicates, ", "),
			Fix: "give each function an id of its own, or list it in one index only"}
	}
	return nil
}

func (o Options) unanswered(a *Answer, last error) error {
	if f, ok := errors.AsType[*pipeline.Finding](last); ok {
		return f
	}
	return &pipeline.Finding{Code: CodeUnreachable, Severity: pipeline.Error, Where: o.Namespace + "/pod/" + a.Pod, Err: last,
		What: fmt.Sprintf("pod %s does not answer on port %d", a.Pod, o.Port), Why: excerpt([]byte(last.Error())),
		Fix: "check that the worker listens on that port, on all addresses; probe.port in .sbw.yaml sets another port, " +
			"and probe.type says that it speaks something other than HTTP/1.1"}
}

func (o Options) path() string {
	if o.Path == "" {
		return "/"
	}
	return "/" + strings.TrimPrefix(o.Path, "/")
}

func (o Options) pathURL() (*url.URL, error) {
	u, err := url.Parse(o.path())
	if err != nil {
		return nil, pipeline.UsageErrorf(CodePath, "correct probe.path in .sbw.yaml, or --probe-path", "%q is not a valid URL path", o.Path)
	}
	return u, nil
}

// excerpt returns the beginning of a response on one line, without anything that
// a terminal would interpret.
func excerpt(b []byte) string {
	const most = 300
	text := termtext.Line(string(b[:min(len(b), 4*most)]))
	if r := []rune(text); len(r) > most {
		return string(r[:most]) + "…"
	}
	return text
}
