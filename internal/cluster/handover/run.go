package handover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/kubectl/pkg/util/podutils"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// markPath is the annotation in a JSON patch.
var markPath = "/metadata/annotations/" + strings.ReplaceAll(Annotation, "/", "~1")

const (
	hashPath     = "/spec/selector/" + hashLabel
	selectorPath = "/spec/selector"
)

// Run performs the writes of one hand-over. Before each write it compares the object
// with what this hand-over has written, and it patches with tests, so that nobody else's
// change is overwritten.
type Run struct {
	Ref      workload.Ref
	Reporter *pipeline.Reporter
	// Guard, if set, is called immediately before each write; an error prevents the
	// write. A run uses it to make sure that it still holds the lock.
	Guard func(context.Context) error

	conn    *cluster.Conn
	kube    kubernetes.Interface
	dynamic dynamic.Interface

	mu   sync.Mutex // guards kept
	kept []string   // Services whose selectors somebody else has changed
}

// Kept returns the Services that were released while keeping a selector that somebody
// else has set. They must not be applied over.
func (r *Run) Kept() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.kept)
}

// New prepares a hand-over of a Deployment, or the continuation of one.
func New(conn *cluster.Conn, ref workload.Ref, r *pipeline.Reporter) (*Run, error) {
	kube, err := conn.Kube()
	if err != nil {
		return nil, cluster.Explain("connect to the cluster", err)
	}
	client, err := conn.Dynamic()
	if err != nil {
		return nil, cluster.Explain("connect to the cluster", err)
	}
	return &Run{Ref: ref, Reporter: r, conn: conn, kube: kube, dynamic: client}, nil
}

// Read reads the present state.
func (r *Run) Read(ctx context.Context) (*State, error) { return Read(ctx, r.kube, r.Ref) }

// Hold pins Services to the version that is serving, origin.Old, and then resumes the
// Deployment, whose new template was applied with Overlay. If one of the Services cannot be
// pinned, the others are released again, and the Deployment stays paused.
func (r *Run) Hold(ctx context.Context, origin Origin, names []string) error {
	for i, name := range names {
		if err := r.hold(ctx, origin, name); err != nil {
			var back []error
			for _, done := range names[:i] {
				back = append(back, r.releaseService(context.WithoutCancel(ctx), done))
			}
			return errors.Join(append([]error{err}, back...)...)
		}
		r.Reporter.Notef("service/%s is pinned to the version that is serving now, pod-template-hash %s", name, origin.Old)
	}
	return r.Thaw(ctx)
}

func (r *Run) hold(ctx context.Context, origin Origin, name string) error {
	services := r.kube.CoreV1().Services(r.Ref.Namespace)
	var try cluster.Attempts
	for {
		svc, err := services.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return cluster.Explain("read service/"+name, err)
		}
		if svc.Annotations[Annotation] != "" || svc.Spec.Selector[hashLabel] != "" {
			return r.foreign("service/"+name, "it is already pinned to a version", writers(svc.ManagedFields))
		}
		owners, err := ownersOf(svc.ManagedFields, servicePaths, everybody)
		if err != nil {
			return err
		}
		mark, err := encode(ServiceMark{Origin: origin, Selector: svc.Spec.Selector, Owners: owners})
		if err != nil {
			return err
		}
		patch := []apply.Operation{
			// If the version is outdated, the API server answers 409.
			{Op: "replace", Path: "/metadata/resourceVersion", Value: svc.ResourceVersion},
			{Op: "test", Path: selectorPath, Value: svc.Spec.Selector},
		}
		if svc.Annotations == nil {
			patch = append(patch, apply.Operation{Op: "add", Path: "/metadata/annotations", Value: map[string]string{}})
		}
		patch = append(
			patch,
			apply.Operation{Op: "add", Path: markPath, Value: mark},
			apply.Operation{Op: "add", Path: hashPath, Value: origin.Old},
		)
		if err = r.patchService(ctx, name, patch); !stale(err) || !try.More(ctx) {
			return r.explain("pin service/"+name, err)
		}
	}
}

// Switch points all held Services to version to at the same time, and waits until their
// endpoints show it: see reached. If one of them cannot be switched, the others go back
// immediately. If no pod of that version is Ready, or
// one of its containers has ended or restarted since the pod was proven, nothing is
// written and the error is ErrNotReady.
func (r *Run) Switch(ctx context.Context, to string, proven []*corev1.Pod) error {
	s, err := r.Read(ctx)
	if err != nil {
		return err
	}
	if s.ready(to) == 0 {
		return r.noReady(to)
	}
	if pod := s.ended(to, restarts(proven)); pod != "" {
		return &pipeline.Finding{Code: CodeNoReady, Severity: pipeline.Error, Where: r.Ref.Namespace + "/pod/" + pod, Err: ErrNotReady,
			What: "pod " + pod + " of the new version ended after it had become Ready: the Services were not switched to it",
			Fix:  "read its log: `kubectl logs --previous " + pod + "`"}
	}
	if len(s.Services) == 0 {
		return r.foreign(r.Ref.String(), "none of its Services is held any more", "")
	}
	if err := r.freeze(ctx, to); err != nil {
		return err
	}
	err = r.pinAll(ctx, s, s.Services, func(svc HeldService) (string, string) { return svc.Mark.Old, to })
	if err == nil {
		return nil
	}
	back := r.SwitchBack(context.WithoutCancel(ctx))
	if back == nil {
		back = r.Thaw(context.WithoutCancel(ctx))
	}
	return errors.Join(err, back)
}

// SwitchBack points all held Services to the old version again, whose pods are still
// running. The Deployment stays paused; see Thaw. A Service that somebody else has
// changed is left as it is and reported as an error. A Service may point to a version before the Deployment's present one, because
// somebody may have changed the template since the switch.
func (r *Run) SwitchBack(ctx context.Context) error {
	_, err := r.switchBack(ctx)
	return err
}

// switchBack is SwitchBack. It reports whether a Service pointed to another version.
func (r *Run) switchBack(ctx context.Context) (moved bool, err error) {
	s, err := r.Read(ctx)
	if err != nil {
		return false, err
	}
	old := s.Origin().Old
	away := slices.DeleteFunc(slices.Clone(s.Services), func(h HeldService) bool { return h.Pinned() == old })
	if len(away) == 0 {
		return false, nil
	}
	if s.ready(old) == 0 {
		return false, r.noReady(old)
	}
	var errs []error
	away = slices.DeleteFunc(away, func(svc HeldService) bool {
		err := r.mayLeave(ctx, s, svc)
		errs = append(errs, err)
		return err != nil
	})
	errs = append(errs, r.pinAll(ctx, s, away, func(svc HeldService) (string, string) { return svc.Pinned(), svc.Mark.Old }))
	return true, errors.Join(errs...)
}

// mayLeave reports as an error that somebody else has pointed a held Service to a version of
// their own. A version of this Deployment is not theirs, and neither is one that has no Ready
// pod: such a Service serves nobody, because the ReplicaSet that it was switched to is gone.
func (r *Run) mayLeave(ctx context.Context, s *State, svc HeldService) error {
	if s.version(svc.Pinned()) != nil {
		return nil
	}
	what := "it is no longer pinned to a version"
	if svc.Pinned() != "" {
		pods, err := r.kube.CoreV1().Pods(r.Ref.Namespace).List(ctx,
			metav1.ListOptions{LabelSelector: labels.SelectorFromSet(svc.Spec.Selector).String()})
		if err != nil {
			return cluster.Explain("list the pods of service/"+svc.Name, err)
		}
		if !slices.ContainsFunc(pods.Items, func(p corev1.Pod) bool { return p.DeletionTimestamp == nil && podutils.IsPodReady(&p) }) {
			return nil
		}
		what = fmt.Sprintf("it points to pod-template-hash %q", svc.Pinned())
	}
	return r.foreign("service/"+svc.Name, what, writers(svc.ManagedFields))
}

// pinAll pins several Services of s concurrently.
func (r *Run) pinAll(ctx context.Context, s *State, all []HeldService, where func(HeldService) (from, to string)) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, svc := range all {
		from, to := where(svc)
		wg.Go(func() {
			if errs[i] = r.pin(ctx, svc.Name, from, to); errs[i] == nil {
				r.Reporter.Notef("service/%s points to pod-template-hash %s", svc.Name, to)
				r.reached(ctx, svc.Name, s.others(to))
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// pin moves one held Service from one version to another.
func (r *Run) pin(ctx context.Context, name, from, to string) error {
	var try cluster.Attempts
	for {
		svc, err := r.kube.CoreV1().Services(r.Ref.Namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return cluster.Explain("read service/"+name, err)
		}
		mark, err := ServiceMarkOf(svc)
		if err != nil {
			return err
		}
		switch {
		case mark == nil:
			return r.foreign("service/"+name, "the mark that held it was removed", writers(svc.ManagedFields))
		case !maps.Equal(without(svc.Spec.Selector), without(mark.Selector)):
			return r.foreign("service/"+name, "its selector was changed", writers(svc.ManagedFields))
		case svc.Spec.Selector[hashLabel] == to:
			return nil
		case svc.Spec.Selector[hashLabel] != from:
			return r.foreign(
				"service/"+name,
				fmt.Sprintf("it points to pod-template-hash %q", svc.Spec.Selector[hashLabel]),
				writers(svc.ManagedFields),
			)
		}
		err = r.patchService(ctx, name, []apply.Operation{
			{Op: "test", Path: "/metadata/uid", Value: svc.UID},
			{Op: "test", Path: selectorPath, Value: svc.Spec.Selector},
			{Op: "test", Path: markPath, Value: svc.Annotations[Annotation]},
			{Op: "replace", Path: hashPath, Value: to},
		})
		if !stale(err) || !try.More(ctx) {
			return r.explain("switch service/"+name, err)
		}
	}
}

// ReleaseServices restores the selector of every held Service. If somebody else has
// changed a selector, only the key that a hold adds is removed, and the rest stays.
func (r *Run) ReleaseServices(ctx context.Context) error {
	held, err := heldServices(ctx, r.kube, r.Ref)
	if err != nil {
		return err
	}
	return r.release(ctx, held)
}

// release restores the selectors of held Services.
func (r *Run) release(ctx context.Context, held []HeldService) error {
	errs := make([]error, len(held))
	var wg sync.WaitGroup
	for i, svc := range held {
		wg.Go(func() { errs[i] = r.releaseService(ctx, svc.Name) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

func (r *Run) releaseService(ctx context.Context, name string) error {
	var try cluster.Attempts
	for {
		svc, err := r.kube.CoreV1().Services(r.Ref.Namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return cluster.Explain("read service/"+name, err)
		}
		mark, err := ServiceMarkOf(svc)
		if mark == nil || err != nil {
			return err
		}
		patch := []apply.Operation{
			{Op: "test", Path: "/metadata/uid", Value: svc.UID},
			{Op: "test", Path: markPath, Value: svc.Annotations[Annotation]},
			{Op: "test", Path: selectorPath, Value: svc.Spec.Selector},
			{Op: "remove", Path: markPath},
		}
		given := without(svc.Spec.Selector)
		if len(given) == 0 {
			return r.foreign("service/"+name, "nothing but the pin is left of its selector", writers(svc.ManagedFields))
		}
		if _, pinned := svc.Spec.Selector[hashLabel]; pinned {
			patch = append(patch, apply.Operation{Op: "remove", Path: hashPath})
		}
		owners := mark.Owners
		changed := !maps.Equal(given, mark.Selector)
		if changed { // the patch would make this project the owner of the whole selector
			if owners, err = ownersOf(svc.ManagedFields, servicePaths, everybody); err != nil {
				return err
			}
		}
		if err = r.patchService(ctx, name, patch); stale(err) && try.More(ctx) {
			continue
		}
		if err != nil {
			return r.explain("release service/"+name, err)
		}
		if changed {
			r.mu.Lock()
			r.kept = append(r.kept, name)
			r.mu.Unlock()
			r.Reporter.Finding(
				&pipeline.Finding{Code: CodeForeign, Severity: pipeline.Warning, Where: r.Ref.Namespace + "/service/" + name, Err: ErrForeign,
					What: "somebody else has changed the selector of service/" + name + " while it was held: their selector was kept",
					Why:  writers(svc.ManagedFields), Fix: "check that this was intended: `kubectl get service " + name + " -o yaml`"},
			)
		} else {
			r.Reporter.Notef("service/%s has its original selector again", name)
		}
		return cluster.Explain(
			"give back the ownership of service/"+name,
			giveBackOwnership(
				ctx,
				r.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("services")).Namespace(r.Ref.Namespace),
				name,
				servicePaths,
				owners,
			),
		)
	}
}

func (r *Run) patchService(ctx context.Context, name string, patch []apply.Operation) error {
	_, err := write(ctx, r, r.kube.CoreV1().Services(r.Ref.Namespace).Patch, name, patch)
	return err
}

// patcher is the Patch of a typed client.
type patcher[T any] func(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (T, error)

// write sends a JSON patch, unless this run may no longer write.
func write[T any](ctx context.Context, r *Run, send patcher[T], name string, patch []apply.Operation) (after T, err error) {
	data, err := json.Marshal(patch)
	if err != nil {
		return after, err
	}
	if err := r.writing(ctx); err != nil {
		return after, err
	}
	ctx, done := cluster.Writing(ctx)
	defer done()
	return send(ctx, name, types.JSONPatchType, data, metav1.PatchOptions{FieldManager: cluster.FieldManager})
}

// writing is called immediately before a write.
func (r *Run) writing(ctx context.Context) error {
	if r.Guard != nil {
		if err := r.Guard(ctx); err != nil {
			return err
		}
	}
	r.Reporter.Changed()
	return nil
}

// stale distinguishes a write whose tests failed, or whose version is outdated, from a
// refused one. The API server answers 422 to a failed test. It also answers 422 to a
// patch that makes an object invalid, but then with the reason Invalid.
func stale(err error) bool {
	status, ok := errors.AsType[*apierrors.StatusError](err)
	return apierrors.IsConflict(err) || ok && status.ErrStatus.Code == http.StatusUnprocessableEntity && !apierrors.IsInvalid(err)
}

// explain describes the error of a patch.
func (r *Run) explain(during string, err error) error {
	switch {
	case err == nil:
		return nil
	case stale(err):
		return r.foreign(r.Ref.String(), during+" failed several times, because others keep changing it", "")
	}
	return cluster.Explain(during, err)
}

func (r *Run) foreign(object, what, who string) error {
	return &pipeline.Finding{Code: CodeForeign, Severity: pipeline.Error, Where: r.Ref.Namespace + "/" + object, Err: ErrForeign,
		What: "somebody else has changed " + object + " during the hand-over: " + what, Why: who,
		Fix: "talk to them; `kubectl sbw status` shows what is held"}
}

func (r *Run) noReady(hash string) error {
	return &pipeline.Finding{Code: CodeNoReady, Severity: pipeline.Error, Where: r.Ref.Namespace + "/" + r.Ref.String(), Err: ErrNotReady,
		What: "no pod of pod-template-hash " + hash + " is Ready, so the Services were not switched to it",
		Fix:  "`kubectl get pods -l pod-template-hash=" + hash + "` shows why"}
}

// writers names the managers that wrote to an object besides this project, latest
// first.
func writers(entries []metav1.ManagedFieldsEntry) string {
	var all []metav1.ManagedFieldsEntry
	for _, e := range entries {
		if e.Manager != cluster.FieldManager && e.Subresource == "" && e.Time != nil {
			all = append(all, e)
		}
	}
	slices.SortFunc(all, func(a, b metav1.ManagedFieldsEntry) int { return b.Time.Compare(a.Time.Time) })
	var names []string
	for _, e := range all {
		if !slices.Contains(names, e.Manager) {
			names = append(names, e.Manager)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "field managers that have written to it, the latest first: " + strings.Join(names, ", ")
}
