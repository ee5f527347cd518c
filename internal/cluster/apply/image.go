package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"k8s.io/client-go/dynamic"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
)

// Image applies only one container's image to the live workload, for use
// without a manifest. Whatever this field manager already owns is applied again
// with it, because server-side apply would otherwise drop it. Findings: those
// of Apply, and workload-unknown, container-unknown.
func Image(ctx context.Context, conn *cluster.Conn, ref workload.Ref, container, image string, o Options) (*Result, error) {
	a, err := newApplier(conn, o)
	if err != nil {
		return nil, err
	}
	kube, err := conn.Kube()
	if err != nil {
		return nil, cluster.Explain("connect to the cluster", err)
	}
	stub := &unstructured.Unstructured{}
	stub.SetGroupVersionKind(ref.GVK())
	stub.SetNamespace(ref.Namespace)
	client, mapping, err := a.resource(stub)
	if err != nil {
		return nil, err
	}
	return again(ctx, ref.String(), func(repeated bool) (*Result, error) {
		before, err := client.Get(ctx, ref.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			_, err = workload.Get(ctx, kube, ref) // which of the names is wrong
		}
		if err != nil {
			return nil, cluster.Explain("read "+ref.String(), err)
		}
		r := &Result{GVK: ref.GVK().String(), Namespace: ref.Namespace, Name: ref.Name, Before: before, mapping: mapping}
		err = a.imageOnce(ctx, client, r, container, image, repeated)
		if r.After == nil {
			return nil, err
		}
		r.Action = actionOf(before, r.After)
		return r, err
	})
}

// imageConfig returns what our field manager applied to a workload, with another image.
func (a *applier) imageConfig(live *workload.Workload, container, image string) (*unstructured.Unstructured, error) {
	if _, err := live.Container(container); err != nil {
		return nil, err
	}
	config, err := owned(live)
	if err != nil {
		return nil, fmt.Errorf("cannot read which fields of %[2]s %[1]q owns: %[3]w", cluster.FieldManager, live.Ref(), err)
	}
	list := "containers"
	if initContainer(live, container) {
		list = "initContainers"
	}
	if err := setImage(config, list, container, image); err != nil {
		return nil, err
	}
	annotations := config.GetAnnotations()
	if annotations == nil {
		annotations = map[string]string{}
	}
	maps.Copy(annotations, a.Annotations)
	config.SetAnnotations(annotations)
	return config, annotateTemplate(config, a.TemplateAnnotations)
}

// imageOnce applies the image over r.Before, and completes r.
func (a *applier) imageOnce(
	ctx context.Context,
	client dynamic.ResourceInterface,
	r *Result,
	container, image string,
	repeated bool,
) error {
	before := r.Before
	live, err := Typed(before)
	if err != nil {
		return err
	}
	config, err := a.imageConfig(live, container, image)
	if err != nil {
		return err
	}
	if err := a.ending(Object{Unstructured: before}, before); err != nil {
		return err
	}
	if err := a.accept(before, before); err != nil {
		return err
	}
	// The image and our annotations are the only fields that every manager has to
	// give up. A client-side apply keeps its other fields.
	others, own := clientSideManagers(before), a.ownPaths(config)
	a.takes = func(c conflict) bool { return others.Has(c.manager) || covers(own, c.field) }
	if err := a.keep(r, repeated); err != nil {
		return err
	}
	if err := a.guard(ctx); err != nil {
		return err
	}
	if !a.DryRun {
		a.Reporter.Changed()
	}
	if r.After, err = a.patchOver(ctx, client, before, before, config, a.Force); err != nil {
		a.unchanged(ctx, client, r.Name, before, err)
		return a.refusal(Object{Unstructured: config}, err)
	}
	return nil
}

// owned returns what our field manager applied, with the values of the live object.
func owned(w *workload.Workload) (*unstructured.Unstructured, error) {
	var config any
	var err error
	switch {
	case w.Deployment != nil:
		config, err = appsv1ac.ExtractDeployment(w.Deployment, cluster.FieldManager)
	case w.StatefulSet != nil:
		config, err = appsv1ac.ExtractStatefulSet(w.StatefulSet, cluster.FieldManager)
	default:
		config, err = appsv1ac.ExtractDaemonSet(w.DaemonSet, cluster.FieldManager)
	}
	if err != nil {
		return nil, err
	}
	data, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	u := &unstructured.Unstructured{}
	if err := json.Unmarshal(data, &u.Object); err != nil {
		return nil, err
	}
	return u, nil
}

func initContainer(w *workload.Workload, name string) bool {
	for _, c := range w.Template().Spec.Containers {
		if c.Name == name {
			return false
		}
	}
	return true
}

// annotateTemplate adds annotations to a workload's pod template.
func annotateTemplate(u *unstructured.Unstructured, add map[string]string) error {
	if len(add) == 0 {
		return nil
	}
	path := []string{"spec", "template", "metadata", "annotations"}
	all, _, err := unstructured.NestedStringMap(u.Object, path...)
	if err != nil {
		return err
	}
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, add)
	return unstructured.SetNestedStringMap(u.Object, all, path...)
}

// RestartedAt is the annotation on a pod template whose pods were replaced by new pods of
// the same image.
const RestartedAt = OwnPrefix + "restarted-at"

// KeepRestart lets a manifest's target keep the annotation of a restart, which is not in the
// manifest. Without the annotation the pods would be restarted again.
func KeepRestart(all []Object, ref workload.Ref, live *workload.Workload) error {
	at := live.Template().Annotations[RestartedAt]
	if at == "" {
		return nil
	}
	for _, o := range all {
		if o.GetKind() == ref.Kind && o.GetName() == ref.Name && o.GetNamespace() == ref.Namespace {
			return annotateTemplate(o.Unstructured, map[string]string{RestartedAt: at})
		}
	}
	return nil
}

// setImage sets the image of the named container, adding the container's
// entry where our manager owns nothing of it yet.
func setImage(u *unstructured.Unstructured, list, container, image string) error {
	path := []string{"spec", "template", "spec", list}
	all, _, err := unstructured.NestedSlice(u.Object, path...)
	if err != nil {
		return err
	}
	for _, one := range all {
		if c, ok := one.(map[string]any); ok && c["name"] == container {
			c["image"] = image
			return unstructured.SetNestedSlice(u.Object, all, path...)
		}
	}
	all = append(all, map[string]any{"name": container, "image": image})
	return unstructured.SetNestedSlice(u.Object, all, path...)
}
