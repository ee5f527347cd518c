package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Operation is one operation of a JSON patch.
type Operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// Template replaces the pod template of live, exactly and as a whole, and sets annotations;
// this project's other annotations are removed. It fails with a conflict
// (apierrors.IsConflict) if live is out of date. Server-side apply cannot remove a field that
// another manager set, so this is a patch, after which the fields are moved to what this
// manager applied. The operations in also are part of the same patch.
func Template(
	ctx context.Context,
	conn *cluster.Conn,
	live *workload.Workload,
	template *corev1.PodTemplateSpec,
	annotations map[string]string,
	r *pipeline.Reporter,
	also ...Operation,
) (*workload.Workload, error) {
	a, err := newApplier(conn, Options{Reporter: r})
	if err != nil {
		return nil, err
	}
	ref := live.Ref()
	client := a.client.Resource(ref.Resource()).Namespace(ref.Namespace)
	all := maps.Clone(live.Object().GetAnnotations())
	if all == nil {
		all = map[string]string{}
	}
	maps.DeleteFunc(all, func(k, _ string) bool { return k == ChangeCause || strings.HasPrefix(k, OwnPrefix) })
	maps.Copy(all, annotations)
	patch, err := json.Marshal(append([]Operation{
		// If the version is outdated, the API server answers 409; after a failed
		// "test" operation it would answer 422.
		{Op: "replace", Path: "/metadata/resourceVersion", Value: live.Object().GetResourceVersion()},
		{Op: "replace", Path: "/spec/template", Value: template},
		{Op: "add", Path: "/metadata/annotations", Value: all},
	}, also...))
	if err != nil {
		return nil, err
	}
	r.Changed()
	ctx, done := cluster.Writing(ctx)
	defer done()
	after, err := client.Patch(ctx, ref.Name, types.JSONPatchType, patch, metav1.PatchOptions{FieldManager: cluster.FieldManager})
	if apierrors.IsConflict(err) {
		return nil, fmt.Errorf("cannot set the pod template of %s: %w", ref, err)
	}
	if err != nil {
		return nil, cluster.Explain("set the pod template of "+ref.String(), err)
	}
	if after, err = a.takeOver(ctx, client, after, clientSideManagers(after)); err != nil {
		return nil, cluster.Explain("keep the ownership of "+ref.String(), err)
	}
	return Typed(after)
}
