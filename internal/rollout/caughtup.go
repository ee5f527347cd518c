package rollout

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/apply"
	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// controllerLag is how long a controller may take to observe a change. After that
// the workload is judged as it stands.
const controllerLag = 5 * time.Second

// caughtUp waits until the workload's controller has observed its last change.
// Every write counts, even one that only changes an annotation: without this wait, a
// rollout that starts right after another would mistake the other's receipt for a
// rollout in progress. A workload that may not be watched is returned unchanged.
func (t *Target) caughtUp(ctx context.Context, w *workload.Workload) (*workload.Workload, error) {
	if seen, now := verdict.Observed(w); seen >= now {
		return w, nil
	}
	dyn, err := t.Conn.Dynamic()
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, controllerLag)
	defer cancel()
	events, err := dyn.Resource(t.Ref.Resource()).Namespace(t.Ref.Namespace).Watch(waiting, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", t.Ref.Name).String(), ResourceVersion: w.Object().GetResourceVersion(),
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return w, nil // another check reports the missing permission
	}
	defer events.Stop()
	for e := range events.ResultChan() {
		u, ok := e.Object.(*unstructured.Unstructured)
		if !ok || u.GetKind() != t.Ref.Kind {
			break // a metav1.Status: the watch has ended
		}
		if w, err = apply.Typed(u); err != nil {
			return nil, cluster.Explain("read "+t.Ref.String(), err)
		}
		if seen, now := verdict.Observed(w); seen >= now {
			break
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return w, nil
}
