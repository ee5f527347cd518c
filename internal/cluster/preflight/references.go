package preflight

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Thing is one object that a pod cannot start without.
type Thing struct {
	Kind string // Secret, ConfigMap, PersistentVolumeClaim, ServiceAccount
	Name string
	Keys []string // that must be in it
	By   []string // what asks for it: "container worker env X"
}

// Things lists what the pod template cannot start without, optional ones left
// out.
func Things(t *corev1.PodTemplateSpec) []Thing {
	index := map[[2]string]*Thing{}
	var order [][2]string
	want := func(kind, name, key, by string, optional *bool) {
		if name == "" || optional != nil && *optional {
			return
		}
		id := [2]string{kind, name}
		if index[id] == nil {
			index[id] = &Thing{Kind: kind, Name: name}
			order = append(order, id)
		}
		one := index[id]
		if key != "" && !slices.Contains(one.Keys, key) {
			one.Keys = append(one.Keys, key)
		}
		if !slices.Contains(one.By, by) {
			one.By = append(one.By, by)
		}
	}
	spec := t.Spec
	for _, c := range append(slices.Clone(spec.InitContainers), spec.Containers...) {
		for _, e := range c.EnvFrom {
			by := "envFrom of container " + c.Name
			if r := e.SecretRef; r != nil {
				want("Secret", r.Name, "", by, r.Optional)
			}
			if r := e.ConfigMapRef; r != nil {
				want("ConfigMap", r.Name, "", by, r.Optional)
			}
		}
		for _, e := range c.Env {
			if e.ValueFrom == nil {
				continue
			}
			by := "env " + e.Name + " of container " + c.Name
			if r := e.ValueFrom.SecretKeyRef; r != nil {
				want("Secret", r.Name, r.Key, by, r.Optional)
			}
			if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
				want("ConfigMap", r.Name, r.Key, by, r.Optional)
			}
		}
	}
	for _, v := range spec.Volumes {
		by := "volume " + v.Name
		if s := v.Secret; s != nil {
			want("Secret", s.SecretName, "", by, s.Optional)
			for _, k := range s.Items {
				want("Secret", s.SecretName, k.Key, by, s.Optional)
			}
		}
		if m := v.ConfigMap; m != nil {
			want("ConfigMap", m.Name, "", by, m.Optional)
			for _, k := range m.Items {
				want("ConfigMap", m.Name, k.Key, by, m.Optional)
			}
		}
		if p := v.PersistentVolumeClaim; p != nil {
			want("PersistentVolumeClaim", p.ClaimName, "", by, nil)
		}
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.Secret != nil {
				want("Secret", s.Secret.Name, "", by, s.Secret.Optional)
			}
			if s.ConfigMap != nil {
				want("ConfigMap", s.ConfigMap.Name, "", by, s.ConfigMap.Optional)
			}
		}
	}
	want("ServiceAccount", cmp.Or(spec.ServiceAccountName, "default"), "", "serviceAccountName", nil)
	all := make([]Thing, 0, len(order))
	for _, id := range order {
		all = append(all, *index[id])
	}
	return all
}

// References says which of a pod template's Secrets, ConfigMaps, keys, claims
// and ServiceAccount are not there: what would become
// CreateContainerConfigError, FailedMount or an unschedulable pod. brought
// tells of objects that the manifest itself brings; it may be nil. Finding:
// reference-missing.
func References(
	ctx context.Context,
	kube kubernetes.Interface,
	w *workload.Workload,
	brought func(kind, name string) bool,
) ([]*pipeline.Finding, error) {
	ns := w.Ref().Namespace
	var found []*pipeline.Finding
	for _, t := range Things(w.Template()) {
		if brought != nil && brought(t.Kind, t.Name) {
			continue
		}
		keys, err := read(ctx, kube, ns, t)
		by := strings.Join(t.By, ", ")
		switch {
		case apierrors.IsNotFound(err):
			found = append(found, finding(
				pipeline.Error,
				"reference-missing",
				ns+"/"+w.Ref().String(),
				fmt.Sprintf(
					"%s %s is not there",
					t.Kind,
					t.Name,
				),
				by+" asks for it",
				"create it in namespace "+ns+", or correct the name in the manifest",
			))
			continue
		case apierrors.IsForbidden(err):
			found = append(found, unread(t.Kind+" "+t.Name, err))
			continue
		case err != nil:
			return found, cluster.Explain("read "+t.Kind+" "+t.Name, err)
		}
		for _, k := range t.Keys {
			if !slices.Contains(keys, k) {
				found = append(found, finding(pipeline.Error, "reference-missing", ns+"/"+w.Ref().String(),
					fmt.Sprintf("%s %s has no key %q", t.Kind, t.Name, k), by+" asks for it", "add the key, or correct its name in the manifest"))
			}
		}
	}
	return found, nil
}

// read gets an object and returns its keys, where it has any.
func read(ctx context.Context, kube kubernetes.Interface, ns string, t Thing) (keys []string, err error) {
	core := kube.CoreV1()
	switch t.Kind {
	case "Secret":
		s, err := core.Secrets(ns).Get(ctx, t.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		for k := range s.Data {
			keys = append(keys, k)
		}
	case "ConfigMap":
		m, err := core.ConfigMaps(ns).Get(ctx, t.Name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		for k := range m.Data {
			keys = append(keys, k)
		}
		for k := range m.BinaryData {
			keys = append(keys, k)
		}
	case "PersistentVolumeClaim":
		_, err = core.PersistentVolumeClaims(ns).Get(ctx, t.Name, metav1.GetOptions{})
	case "ServiceAccount":
		_, err = core.ServiceAccounts(ns).Get(ctx, t.Name, metav1.GetOptions{})
	}
	return keys, err
}
