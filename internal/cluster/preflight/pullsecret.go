package preflight

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Credential is a login that the kubelet would use. It is kept in memory and
// printed without its secret part.
type Credential struct {
	Host   string // as written in the pull secret: a host, perhaps with a path or a wildcard
	Source string // secret/NAME
	User   string

	secret sealed
}

// sealed holds a password, or an identity token instead. It is a function,
// because fmt prints the content of unexported fields without calling their
// String.
type sealed func() (password, identityToken string)

// Reveal returns the secret part: a password, or an identity token.
func (c Credential) Reveal() (password, identityToken string) { return c.secret() }

func (c Credential) String() string { return c.User + " for " + c.Host + " from " + c.Source }

// Keyring contains all logins of a pod's imagePullSecrets.
type Keyring struct {
	all []Credential
	// Blind are the pull secrets that we may not read; their content is
	// unknown.
	Blind []string
}

// For returns the logins that the kubelet would try for an image, the most
// specific first; none means that it pulls anonymously.
func (k Keyring) For(repository string) []Credential {
	var fit []Credential
	for _, c := range k.all {
		if matches(c.Host, repository) {
			fit = append(fit, c)
		}
	}
	slices.SortStableFunc(fit, func(a, b Credential) int { return len(b.Host) - len(a.Host) })
	return fit
}

// PullSecrets reads the pod template's imagePullSecrets, or its
// ServiceAccount's if it has none (only then does the admission plugin copy
// them). Findings, none of them an Error because the image may be public:
// pull-secret-missing, pull-secret-unusable.
func PullSecrets(ctx context.Context, kube kubernetes.Interface, w *workload.Workload) (Keyring, []*pipeline.Finding, error) {
	var ring Keyring
	var found []*pipeline.Finding
	spec, ns := w.Template().Spec, w.Ref().Namespace
	refs := spec.ImagePullSecrets
	if len(refs) == 0 {
		name := cmp.Or(spec.ServiceAccountName, "default")
		account, err := kube.CoreV1().ServiceAccounts(ns).Get(ctx, name, metav1.GetOptions{})
		switch {
		case apierrors.IsForbidden(err):
			return ring, []*pipeline.Finding{unread("the pull secrets of ServiceAccount "+name, err)}, nil
		case apierrors.IsNotFound(err): // References reports it
		case err != nil:
			return ring, nil, cluster.Explain("read ServiceAccount "+name, err)
		default:
			refs = account.ImagePullSecrets
		}
	}
	for _, ref := range refs {
		secret, err := kube.CoreV1().Secrets(ns).Get(ctx, ref.Name, metav1.GetOptions{})
		where := ns + "/secret/" + ref.Name
		switch {
		case apierrors.IsNotFound(err):
			found = append(found, finding(
				pipeline.Warning,
				codePullSecretMissing,
				where,
				"pull secret "+ref.Name+" does not exist",
				"imagePullSecrets refers to it, and the node will pull without it",
				"create it: `kubectl create secret docker-registry "+ref.Name+" -n "+ns+" --docker-server="+registryOf(w)+" …`",
			))
			continue
		case apierrors.IsForbidden(err):
			ring.Blind = append(ring.Blind, ref.Name)
			found = append(found, unread("pull secret "+ref.Name, err))
			continue
		case err != nil:
			return ring, found, cluster.Explain("read secret "+ref.Name, err)
		}
		creds, err := ParsePullSecret(secret)
		if err != nil {
			found = append(found, finding(pipeline.Warning, codePullSecretUnusable, where, "pull secret "+ref.Name+" cannot be used",
				err.Error(), "recreate it with `kubectl create secret docker-registry`"))
			continue
		}
		ring.all = append(ring.all, creds...)
	}
	return ring, found, nil
}

// registryOf returns the registry of the first image that is not from Docker Hub, which needs
// a pull secret least often.
func registryOf(w *workload.Workload) string {
	for _, c := range w.Template().Spec.Containers {
		if host := imageref.Split(c.Image).Registry; host != "" && host != "docker.io" {
			return host
		}
	}
	return "https://index.docker.io/v1/"
}

// entry is one login of a Docker configuration file.
type entry struct {
	Auth          string `json:"auth"`
	Username      string `json:"username"`
	Password      string `json:"password"`
	IdentityToken string `json:"identitytoken"`
}

// ParsePullSecret reads the logins in a Secret of either type that the kubelet
// supports. Errors never contain any of its content.
func ParsePullSecret(s *corev1.Secret) ([]Credential, error) {
	var entries map[string]entry
	switch s.Type {
	case corev1.SecretTypeDockerConfigJson:
		var file struct {
			Auths map[string]entry `json:"auths"`
		}
		if json.Unmarshal(s.Data[corev1.DockerConfigJsonKey], &file) != nil {
			return nil, errors.New("its " + corev1.DockerConfigJsonKey + " is not a Docker configuration")
		}
		entries = file.Auths
	case corev1.SecretTypeDockercfg:
		if json.Unmarshal(s.Data[corev1.DockerConfigKey], &entries) != nil {
			return nil, errors.New("its " + corev1.DockerConfigKey + " is not a Docker configuration")
		}
	default:
		return nil, fmt.Errorf("its type is %q, but must be %q", s.Type, corev1.SecretTypeDockerConfigJson)
	}
	var all []Credential
	for host, e := range entries {
		c := Credential{Host: normalHost(host), Source: "secret/" + s.Name, User: e.Username}
		if e.Auth != "" {
			plain, err := decode(e.Auth)
			if err != nil {
				return nil, fmt.Errorf("its login for %s is not base64", normalHost(host))
			}
			user, password, ok := strings.Cut(plain, ":")
			if !ok {
				return nil, fmt.Errorf("its login for %s does not have the form user:password", normalHost(host))
			}
			c.User, e.Password = user, password
		}
		c.secret = func() (string, string) { return e.Password, e.IdentityToken }
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b Credential) int { return cmp.Compare(a.Host, b.Host) })
	return all, nil
}

// decode takes base64 with and without padding, as the kubelet does.
func decode(s string) (string, error) {
	enc := base64.StdEncoding
	if !strings.HasSuffix(strings.TrimSpace(s), "=") {
		enc = base64.RawStdEncoding
	}
	data, err := enc.DecodeString(strings.TrimSpace(s))
	return string(data), err
}

// normalHost removes what Docker adds to a host: https://index.docker.io/v1/ is
// docker.io.
func normalHost(h string) string {
	h = strings.TrimPrefix(strings.TrimPrefix(h, "https://"), "http://")
	h = strings.TrimSuffix(h, "/")
	for _, suffix := range []string{"/v1", "/v2"} {
		h = strings.TrimSuffix(h, suffix)
	}
	if h == "index.docker.io" || h == "registry-1.docker.io" {
		return "docker.io"
	}
	return h
}

// matches follows the kubelet's rules (pkg/credentialprovider/keyring.go): the
// port must be the same, each label of the host may be a glob, and a path must
// be the beginning of the repository's.
func matches(pattern, repository string) bool {
	wantHost, wantPath, _ := strings.Cut(pattern, "/")
	host, rest, _ := strings.Cut(repository, "/")
	wantName, wantPort, _ := strings.Cut(wantHost, ":")
	name, port, _ := strings.Cut(host, ":")
	if wantPort != port {
		return false
	}
	want, have := strings.Split(wantName, "."), strings.Split(name, ".")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if ok, err := path.Match(want[i], have[i]); err != nil || !ok {
			return false
		}
	}
	return strings.HasPrefix(rest, wantPath)
}
