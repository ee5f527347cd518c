package containerenv

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func secretRef(name, key string, optional bool) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: name}, Key: key, Optional: &optional}}
}

func objects(t *testing.T, forbidden ...string) *fake.Clientset {
	t.Helper()
	c := fake.NewClientset(
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "keys"}, Data: map[string][]byte{"INNGEST_SIGNING_KEY": []byte("signkey-prod-abc"), "SHARED": []byte("from secret")}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "conf"}, Data: map[string]string{"SHARED": "from configmap", "URL": "http://x"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "locked"}, Data: map[string][]byte{"K": []byte("v")}},
	)
	c.PrependReactor("get", "secrets", func(a clienttesting.Action) (bool, runtime.Object, error) {
		name := a.(clienttesting.GetAction).GetName()
		for _, f := range forbidden {
			if f == name {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, name, fmt.Errorf("no"))
			}
		}
		return false, nil, nil
	})
	return c
}

func TestResolve(t *testing.T) {
	from := func(secret, configmap, prefix string) corev1.EnvFromSource {
		f := corev1.EnvFromSource{Prefix: prefix}
		if secret != "" {
			f.SecretRef = &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: secret}}
		} else {
			f.ConfigMapRef = &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: configmap}}
		}
		return f
	}
	c := &corev1.Container{
		EnvFrom: []corev1.EnvFromSource{from("keys", "", ""), from("", "conf", ""), from("", "conf", "P_")},
		Env: []corev1.EnvVar{
			{Name: "PLAIN", Value: "1"},
			{Name: "URL", Value: "http://override"},
			{Name: "JOINED", Value: "$(URL)/$(PLAIN)/$$(PLAIN)/$(NONE)"},
			{Name: "KEY", ValueFrom: secretRef("keys", "INNGEST_SIGNING_KEY", false)},
			{Name: "GONE", ValueFrom: secretRef("keys", "nokey", false)},
			{Name: "MAYBE", ValueFrom: secretRef("none", "k", true)},
			{Name: "LOCKED", ValueFrom: secretRef("locked", "K", false)},
			{Name: "OVER", Value: "x$(LOCKED)"},
			{Name: "NODE", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "spec.nodeName"}}},
		},
	}
	v, err := Resolve(t.Context(), objects(t, "locked"), "ns", c)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"PLAIN": "set 1", "URL": "set http://override", "JOINED": "set http://override/1/$(PLAIN)/$(NONE)",
		"SHARED": "set from configmap", "P_URL": "set http://x", "INNGEST_SIGNING_KEY": "set signkey-prod-abc",
		"KEY": "set signkey-prod-abc", "GONE": "missing ", "MAYBE": "unset ", "LOCKED": "refused ", "OVER": "refused ", "NODE": "runtime ", "NOTHING": "unset ",
	}
	got := map[string]string{}
	for name := range want {
		one := v.Get(name)
		got[name] = string(one.State) + " " + one.Reveal()
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
	if diff := cmp.Diff([]string{"secret/keys key nokey"}, v.Missing); diff != "" {
		t.Error(diff)
	}
	if s := v.Get("OVER").Source; s != "secret/locked key K" {
		t.Error(s)
	}
	if value, ok := v.Lookup("NOTHING", "KEY"); !ok || value != "signkey-prod-abc" {
		t.Error(value, ok)
	}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if text := fmt.Sprintf(format, v) + fmt.Sprintf(format, v.Get("KEY")); strings.Contains(text, "signkey") {
			t.Errorf("%s prints %s", format, text)
		}
	}
}

// An envFrom that may not be read could have set any variable.
func TestRefusedEnvFrom(t *testing.T) {
	c := &corev1.Container{EnvFrom: []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "keys"}}}},
		Env: []corev1.EnvVar{{Name: "A", Value: "b"}}}
	v, err := Resolve(t.Context(), objects(t, "keys"), "ns", c)
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Get("INNGEST_SIGNING_KEY"); got.State != Refused || got.Source != "secret/keys" {
		t.Error(got)
	}
	if got := v.Get("A"); got.State != Set {
		t.Error(got)
	}
	if diff := cmp.Diff([]string{"secret/keys"}, v.Refused); diff != "" {
		t.Error(diff)
	}
}

func TestMissingEnvFrom(t *testing.T) {
	yes := true
	c := &corev1.Container{EnvFrom: []corev1.EnvFromSource{
		{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "none"}}},
		{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "none"}, Optional: &yes}},
	}}
	v, err := Resolve(t.Context(), objects(t), "ns", c)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"secret/none"}, v.Missing); diff != "" {
		t.Error(diff)
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"$(A)", "$$(A)", "$(", "$", "$(A", "x$(B)y", "$()", "$$$(A)"} {
		f.Add(s)
	}
	so := Values{vars: map[string]Value{"A": {State: Set, value: seal("1")}}}
	f.Fuzz(func(t *testing.T, s string) {
		got, refused := expand(s, so)
		if refused != "" {
			t.Error(refused)
		}
		if !strings.Contains(s, "$") && got != s {
			t.Errorf("%q became %q", s, got)
		}
	})
}
