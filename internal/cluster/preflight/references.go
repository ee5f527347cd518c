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

// Dependency is one object that a pod cannot start without.
type Dependency struct {
	Kind string // Secret, ConfigMap, PersistentVolumeClaim, ServiceAccount
	Name string
	Keys []string // the keys that must exist in it
	By   []string // where it is referred to: "container worker env X"
}

// Dependencies lists what the pod template cannot start without. Optional
// references are left out.
func Dependencies(t *corev1.PodTemplateSpec) []Dependency {
	var all dependencies
	spec := t.Spec
	for _, c := range append(slices.Clone(spec.InitContainers), spec.Containers...) {
		all.ofEnvironment(c)
	}
	for _, v := range spec.Volumes {
		all.ofVolume(v)
	}
	all.add("ServiceAccount", cmp.Or(spec.ServiceAccountName, "default"), "", "serviceAccountName", nil)
	return all
}

// dependencies lists each object once, in the order of the template.
type dependencies []Dependency

func (d *dependencies) add(kind, name, key, by string, optional *bool) {
	if name == "" || optional != nil && *optional {
		return
	}
	i := slices.IndexFunc(*d, func(o Dependency) bool { return o.Kind == kind && o.Name == name })
	if i < 0 {
		i = len(*d)
		*d = append(*d, Dependency{Kind: kind, Name: name})
	}
	one := &(*d)[i]
	if key != "" && !slices.Contains(one.Keys, key) {
		one.Keys = append(one.Keys, key)
	}
	if !slices.Contains(one.By, by) {
		one.By = append(one.By, by)
	}
}

func (d *dependencies) ofEnvironment(c corev1.Container) {
	for _, e := range c.EnvFrom {
		by := "envFrom of container " + c.Name
		if r := e.SecretRef; r != nil {
			d.add("Secret", r.Name, "", by, r.Optional)
		}
		if r := e.ConfigMapRef; r != nil {
			d.add("ConfigMap", r.Name, "", by, r.Optional)
		}
	}
	for _, e := range c.Env {
		if e.ValueFrom == nil {
			continue
		}
		by := "env " + e.Name + " of container " + c.Name
		if r := e.ValueFrom.SecretKeyRef; r != nil {
			d.add("Secret", r.Name, r.Key, by, r.Optional)
		}
		if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
			d.add("ConfigMap", r.Name, r.Key, by, r.Optional)
		}
	}
}

func (d *dependencies) ofVolume(v corev1.Volume) {
	by := "volume " + v.Name
	if s := v.Secret; s != nil {
		d.items("Secret", s.SecretName, s.Items, by, s.Optional)
	}
	if m := v.ConfigMap; m != nil {
		d.items("ConfigMap", m.Name, m.Items, by, m.Optional)
	}
	if p := v.PersistentVolumeClaim; p != nil {
		d.add("PersistentVolumeClaim", p.ClaimName, "", by, nil)
	}
	if v.Projected == nil {
		return
	}
	for _, s := range v.Projected.Sources {
		if s.Secret != nil {
			d.items("Secret", s.Secret.Name, s.Secret.Items, by, s.Secret.Optional)
		}
		if s.ConfigMap != nil {
			d.items("ConfigMap", s.ConfigMap.Name, s.ConfigMap.Items, by, s.ConfigMap.Optional)
		}
	}
}

// items adds the keys that a volume shows as files: the kubelet mounts nothing
// when one of them is missing.
func (d *dependencies) items(kind, name string, items []corev1.KeyToPath, by string, optional *bool) {
	d.add(kind, name, "", by, optional)
	for _, k := range items {
		d.add(kind, name, k.Key, by, optional)
	}
}

// References returns which of a pod template's Secrets, ConfigMaps, keys, claims and
// ServiceAccount do not exist and would result in CreateContainerConfigError, FailedMount or
// an unschedulable pod. declared reports whether the manifest itself creates an object; it
// may be nil. Finding: reference-missing.
func References(
	ctx context.Context,
	kube kubernetes.Interface,
	w *workload.Workload,
	declared func(kind, name string) bool,
) ([]*pipeline.Finding, error) {
	ns := w.Ref().Namespace
	var found []*pipeline.Finding
	for _, t := range Dependencies(w.Template()) {
		if declared != nil && declared(t.Kind, t.Name) {
			continue
		}
		keys, err := read(ctx, kube, ns, t)
		by := strings.Join(t.By, ", ")
		switch {
		case apierrors.IsNotFound(err):
			found = append(found, finding(
				pipeline.Error,
				codeReferenceMissing,
				ns+"/"+w.Ref().String(),
				fmt.Sprintf("%s %s does not exist", t.Kind, t.Name),
				"it is used by "+by,
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
				found = append(found, finding(pipeline.Error, codeReferenceMissing, ns+"/"+w.Ref().String(),
					fmt.Sprintf("%s %s has no key %q", t.Kind, t.Name, k), "it is used by "+by, "add the key, or correct its name in the manifest"))
			}
		}
	}
	return found, nil
}

// read gets an object and returns its keys, if it has any.
func read(ctx context.Context, kube kubernetes.Interface, ns string, t Dependency) (keys []string, err error) {
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
