package apply

import (
	"maps"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func actionOf(before, after *unstructured.Unstructured) Action {
	switch {
	case before == nil:
		return Created
	case sameContent(before, after):
		return Unchanged
	}
	return Configured
}

// controllersRevision is the annotation that the Deployment controller writes.
const controllersRevision = "deployment.kubernetes.io/revision"

// sameContent compares what a person wrote, ignoring the counters of server and controller
// and our annotations.
func sameContent(a, b *unstructured.Unstructured) bool {
	return equality.Semantic.DeepEqual(content(a), content(b))
}

// OwnPrefix is the prefix of all of this project's annotations.
const OwnPrefix = "dev.sbw/"

// ChangeCause is the annotation that `kubectl rollout history` shows.
const ChangeCause = "kubernetes.io/change-cause"

func content(u *unstructured.Unstructured) map[string]any {
	c := u.DeepCopy()
	for _, field := range []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"} {
		unstructured.RemoveNestedField(c.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(c.Object, "status")
	annotations := c.GetAnnotations()
	maps.DeleteFunc(annotations, func(k, _ string) bool {
		return k == lastApplied || k == controllersRevision || k == ChangeCause || strings.HasPrefix(k, OwnPrefix)
	})
	if len(annotations) == 0 {
		annotations = nil
	}
	c.SetAnnotations(annotations)
	return c.Object
}
