package cluster

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	_ "k8s.io/client-go/plugin/pkg/client/auth" // registers the auth providers (oidc) that kubeconfigs may name
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// CodeCredentials means that a user entry of the kubeconfig does not yield
// credentials.
const CodeCredentials pipeline.Code = "cluster-credentials"

// login is the kubeconfig entry with which this user logs in.
type login struct {
	user    string
	cluster string
	info    *clientcmdapi.AuthInfo // nil if there is no entry
}

// execVersions are the versions that client-go's exec plugins support
// (client-go plugin/pkg/client/auth/exec, apiVersions).
const execVersions = "client.authentication.k8s.io/v1 and v1beta1"

// explain describes why the entry does not yield credentials. client-go has no error
// types for that; the texts come from its plugin/pkg/client/auth/exec, v0.36.
func (l login) explain(err error) *pipeline.Finding {
	f := &pipeline.Finding{Code: CodeCredentials, Severity: pipeline.Error, End: pipeline.Usage, Err: err,
		What: fmt.Sprintf("user %q of the kubeconfig has no credentials for the cluster", l.user),
		Fix:  "check this user with `kubectl config view`, or choose another --context or --user"}
	text := err.Error()
	if _, rest, ok := strings.Cut(text, "getting credentials: "); ok {
		text = rest
	}
	f.Why = termtext.Line(text)
	if l.info == nil {
		return f
	}
	f.Where = l.info.LocationOfOrigin
	exec := l.info.Exec
	if exec == nil {
		if p := l.info.AuthProvider; p != nil {
			f.Why = fmt.Sprintf("auth provider %q: %s", p.Name, f.Why)
		}
		return f
	}
	command := strings.Join(append([]string{exec.Command}, printableArgs(exec.Args)...), " ")
	f.Fix = fmt.Sprintf("run `%s` by hand to see why it fails", command)
	const renew = "renew the entry with the tool that wrote it"
	switch {
	case strings.Contains(text, "invalid apiVersion"):
		f.Why = fmt.Sprintf("its exec entry asks for %s, and only %s are known", exec.APIVersion, execVersions)
		f.Fix = renew
	case strings.Contains(text, "executable "+exec.Command+" not found"):
		f.Why = fmt.Sprintf("its exec entry runs `%s`, which is not on PATH", exec.Command)
		if hint := termtext.Line(exec.InstallHint); hint != "" {
			f.Why += "; the entry says: " + hint
		}
		f.Fix = "install " + exec.Command + ", or " + renew
	case strings.Contains(text, "decoding stdout"):
		f.Why = fmt.Sprintf("`%s` did not print an ExecCredential of %s", command, exec.APIVersion)
		f.Fix += ", or " + renew
	case strings.Contains(text, "plugin returned version"):
		f.Why = fmt.Sprintf("`%s`: %s", command, termtext.Line(text))
		f.Fix = renew
	}
	return f
}

// rejected explains that the cluster does not accept the entry's credentials.
func (l login) rejected() *pipeline.Finding {
	f := &pipeline.Finding{Code: CodeUnauthorized, Severity: pipeline.Error,
		What: fmt.Sprintf("cluster %s rejected the credentials of user %s", l.cluster, l.user),
		Why:  "the API server answered 401 Unauthorized",
		Fix:  "they are wrong or expired: log in to the cluster again",
		Err:  apierrors.NewUnauthorized("Unauthorized")}
	if l.user == "" {
		f.What = fmt.Sprintf("cluster %s rejected a request without credentials", l.cluster)
	}
	if l.info != nil {
		f.Where = l.info.LocationOfOrigin
		if l.info.Exec != nil {
			f.Fix = fmt.Sprintf("run `%s` by hand to see whose credentials it prints, or log in to the cluster again",
				strings.Join(append([]string{l.info.Exec.Command}, l.info.Exec.Args...), " "))
		}
	}
	return f
}

// transport makes requests with the entry's credentials. The first request is sent
// alone, so that a credential command starts only once and not for each concurrent
// request. If the command fails, or the cluster rejects the first request, all further
// requests fail in the same way without being sent.
type transport struct {
	next  http.RoundTripper
	login login
	limit time.Duration // for the first answer; 0 means firstAnswerLimit

	first    sync.Mutex // held by the first request
	mu       sync.Mutex // guards what follows
	ready    bool       // a request got its credentials
	accepted bool       // and the cluster accepted them
	failed   *pipeline.Finding
}

// roundTripper is a function as an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// answer judges the server's answer before client-go sees it: after a 401, client-go
// would start the credential command again, for each request.
func (t *transport) answer(resp *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return resp, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.accepted || resp.StatusCode != http.StatusUnauthorized {
		t.accepted = true
		return resp, nil
	}
	_ = resp.Body.Close() // the body is not read
	t.failed = t.login.rejected()
	return nil, t.failed
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if ready, failed := t.state(); failed != nil {
		return nil, failed
	} else if !ready {
		t.first.Lock()
		defer t.first.Unlock()
		if _, failed := t.state(); failed != nil {
			return nil, failed
		}
	}
	resp, err := t.next.RoundTrip(req)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil && strings.Contains(err.Error(), "getting credentials: ") {
		t.failed = t.login.explain(err)
		return nil, t.failed
	}
	t.ready = true
	return resp, err
}

func (t *transport) state() (ready bool, failed *pipeline.Finding) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.ready, t.failed
}

// WrappedRoundTripper lets client-go find the connections below.
func (t *transport) WrappedRoundTripper() http.RoundTripper { return t.next }
