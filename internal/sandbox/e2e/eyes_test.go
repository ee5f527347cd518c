//go:build linux

package e2e

import (
	"encoding/json"
	"regexp"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// eyes records when the API first reports something about new pods or about
// the workload.
type eyes struct {
	mu   sync.Mutex
	want map[string]*regexp.Regexp // keyed by namespace
	seen map[string]time.Time
	pods map[types.UID]string // the namespaces of all pods seen so far
	old  map[types.UID]bool   // pods that existed before; they prove nothing
}

func (e *eyes) watch(ns, pattern string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.want[ns] = regexp.MustCompile(pattern)
	delete(e.seen, ns)
	for uid, in := range e.pods {
		if in == ns {
			e.old[uid] = true
		}
	}
}

func (e *eyes) first(ns string) (time.Time, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, ok := e.seen[ns]
	return at, ok
}

func (e *eyes) see(ns string, about types.UID, what any) {
	text, err := json.Marshal(what)
	if err != nil {
		return // it does not match the pattern
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if w := e.want[ns]; w != nil && e.seen[ns].IsZero() && !e.old[about] && w.Match(text) {
		e.seen[ns] = time.Now()
	}
}

func (e *eyes) pod(p *corev1.Pod) {
	e.mu.Lock()
	e.pods[p.UID] = p.Namespace
	e.mu.Unlock()
	e.see(p.Namespace, p.UID, p.Status)
}

// look watches the pods, events and conditions of all namespaces until the
// test ends.
func (st *stage) look(t testing.TB) *eyes {
	t.Helper()
	e := &eyes{want: map[string]*regexp.Regexp{}, seen: map[string]time.Time{}, pods: map[types.UID]string{}, old: map[types.UID]bool{}}
	see := func(o any) {
		switch o := o.(type) {
		case *corev1.Pod:
			e.pod(o)
		case *corev1.Event:
			e.see(o.Namespace, o.InvolvedObject.UID, []string{o.Reason, o.Message})
		case *appsv1.Deployment:
			e.see(o.Namespace, o.UID, o.Status.Conditions)
		}
	}
	all := informers.NewSharedInformerFactory(st.kube, 0)
	for _, i := range []cache.SharedIndexInformer{all.Core().V1().Pods().Informer(), all.Core().V1().Events().Informer(), all.Apps().V1().Deployments().Informer()} {
		if _, err := i.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: see, UpdateFunc: func(_, now any) { see(now) }}); err != nil {
			t.Fatal(err)
		}
	}
	all.Start(t.Context().Done())
	t.Cleanup(all.Shutdown)
	all.WaitForCacheSync(t.Context().Done())
	return e
}
