package watch

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	apiwatch "k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"
)

// feed keeps the objects of one kind in step with the API server: one LIST (or
// streaming list), then one WATCH, again after each end of it. client-go's
// Reflector does the hard part (resourceVersions, bookmarks, 410 Gone,
// back-off); feed is the store behind it.
type feed[T metav1.Object] struct {
	keep func(T) bool // objects for which it returns false are not stored
	trim func(T)      // removes what is not read, before it is stored
	news func()       // called after each change, never blocking
	hear func(error)  // called with each failure of list or watch, and with nil when it works again

	mu     sync.Mutex
	items  map[types.UID]T
	synced atomic.Bool
	failed atomic.Bool
}

// run feeds until ctx ends.
func (f *feed[T]) run(ctx context.Context, c listWatch, example runtime.Object, selectBy func(*metav1.ListOptions)) {
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			selectBy(&o)
			// "0" may be answered from a cache that has not seen the apply yet;
			// and it should be a single request, however many pods there are.
			if o.ResourceVersion == "0" {
				o.ResourceVersion, o.Limit = "", 0
			}
			list, err := c.list(ctx, o)
			f.heard(err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (apiwatch.Interface, error) {
			selectBy(&o)
			w, err := c.watch(ctx, o)
			f.heard(err)
			return w, err
		},
	}
	quiet := logr.Discard()
	r := cache.NewReflectorWithOptions(lw, example, f, cache.ReflectorOptions{
		Logger: &quiet,
		// A rollout takes minutes, so it is better to ask often than to learn late. The
		// Reflector's own back-off goes up to 30 s and more.
		Backoff: &wait.Backoff{Duration: 200 * time.Millisecond, Cap: 2 * time.Second, Factor: 1.6, Jitter: 0.3, Steps: 50},
	})
	r.RunWithContext(klog.NewContext(ctx, quiet))
}

func (f *feed[T]) heard(err error) {
	if err == nil {
		if f.failed.Swap(false) {
			f.hear(nil)
		}
		return
	}
	if errors.Is(err, context.Canceled) || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) {
		return
	}
	f.failed.Store(true)
	f.hear(err)
}

// snapshot returns what is known in a new slice.
func (f *feed[T]) snapshot() []T {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]T, 0, len(f.items))
	for _, o := range f.items {
		all = append(all, o)
	}
	return all
}

func (f *feed[T]) put(obj any) {
	o, ok := obj.(T)
	if !ok || !f.keep(o) {
		return
	}
	f.trim(o)
	f.mu.Lock()
	if f.items == nil {
		f.items = map[types.UID]T{}
	}
	f.items[o.GetUID()] = o
	f.mu.Unlock()
}

// Add implements cache.ReflectorStore.
func (f *feed[T]) Add(obj any) error { f.put(obj); f.news(); return nil }

// Update implements cache.ReflectorStore.
func (f *feed[T]) Update(obj any) error { f.put(obj); f.news(); return nil }

// Delete implements cache.ReflectorStore.
func (f *feed[T]) Delete(obj any) error {
	if o, ok := obj.(T); ok {
		f.mu.Lock()
		delete(f.items, o.GetUID())
		f.mu.Unlock()
		f.news()
	}
	return nil
}

// Replace implements cache.ReflectorStore: the answer of a list.
func (f *feed[T]) Replace(list []any, _ string) error {
	f.mu.Lock()
	clear(f.items)
	f.mu.Unlock()
	for _, o := range list {
		f.put(o)
	}
	f.synced.Store(true)
	f.news()
	return nil
}

// Resync implements cache.ReflectorStore; nothing is ever resynchronised.
func (f *feed[T]) Resync() error { return nil }

// Transformer implements cache.TransformingStore, so that the Reflector's own
// copy of a streaming list is trimmed, too.
func (f *feed[T]) Transformer() cache.TransformFunc {
	return func(obj any) (any, error) {
		if o, ok := obj.(T); ok {
			f.trim(o)
		}
		return obj, nil
	}
}

// dropManaged removes managedFields, which nobody reads and which make up half of an object.
func dropManaged[T metav1.Object](o T) { o.SetManagedFields(nil) }

// trimPod keeps what the verdict, the table and the probe read.
func trimPod(p *corev1.Pod) {
	p.ManagedFields = nil
	p.Annotations = nil
	p.Spec.Volumes, p.Spec.Affinity, p.Spec.Tolerations, p.Spec.TopologySpreadConstraints = nil, nil, nil, nil
	for _, list := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
		for i := range list {
			c := &list[i]
			hook := c.Lifecycle != nil && c.Lifecycle.PostStart != nil
			c.Env, c.EnvFrom, c.VolumeMounts, c.Args, c.Command, c.Lifecycle, c.SecurityContext = nil, nil, nil, nil, nil, nil, nil
			if hook { // only its existence is read
				c.Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{}}
			}
		}
	}
	for _, list := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for i := range list {
			list[i].VolumeMounts = nil
		}
	}
	p.Status.EphemeralContainerStatuses = nil
}

func trimEvent(e *corev1.Event) { e.ManagedFields, e.Annotations, e.Labels = nil, nil, nil }

// isAway distinguishes an API server that does not answer from one that refuses a request.
func isAway(err error) bool {
	if apierrors.IsServiceUnavailable(err) || apierrors.IsTooManyRequests(err) || apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) ||
		apierrors.IsInternalError(err) {
		return true
	}
	if _, ok := errors.AsType[*apierrors.StatusError](err); ok {
		return false
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		return true
	}
	_, ok := errors.AsType[net.Error](err)
	return ok || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
