// Package cluster connects to one Kubernetes cluster with kubectl's flags. Connect
// returns a Conn with the clients that all packages below use, and Explain describes
// the cluster's errors.
//
// Connect does not use the network: clients are created when they are first
// needed, so that `--help` and a preflight that fails early cost nothing. The
// packages below this one use the connection:
//
//	workload     one Deployment, StatefulSet or DaemonSet, through one type
//	preflight    checks before anything is changed
//	containerenv the environment of a container, as the cluster resolves it
//	apply        server-side apply, diff, and restoring
//	handover     replacing a version without interrupting it (prove, then switch)
//	watch        following a rollout to its verdict
//	verdict      the verdict itself, a pure function
//	evidence     logs and events, saved before they are gone
//	fieldowner   who changed which fields of a workload
//	revision     earlier revisions, and returning to one
//	lock         one rollout at a time
//	forward      connections to a pod or a Service
//
// Every package below uses Explain for errors of the API server.
package cluster

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/ptr"
)

// FieldManager is the name of this project's field manager.
const FieldManager = "kubectl-sbw"

// Options say how to connect.
type Options struct {
	UserAgent string
	// Warn receives each of the API server's warnings once; nil drops them.
	Warn func(message string)
	// DialTimeout limits how long opening a TCP connection may take; 0 means 10 s.
	// Single requests are limited by their contexts, because rest.Config.Timeout
	// would also end watches.
	DialTimeout time.Duration
}

// Conn is a cluster, a namespace in it and a user. Its methods may be called
// concurrently.
type Conn struct {
	Context   string // from the kubeconfig; empty inside a cluster
	Namespace string // from --namespace or the context
	Server    string // URL
	User      string // its name in the kubeconfig
	Config    *rest.Config

	getter  genericclioptions.RESTClientGetter
	kube    func() (kubernetes.Interface, error)
	dynamic func() (dynamic.Interface, error)
	mapper  func() (meta.RESTMapper, error)
	http    func() (*http.Client, error)
}

// Connect reads the kubeconfig behind getter. Errors are Findings:
// kubeconfig, context-unknown.
func Connect(getter genericclioptions.RESTClientGetter, o Options) (*Conn, error) {
	flags, shares := getter.(*genericclioptions.ConfigFlags)
	if shares {
		flags.WrapConfigFn = nil // of an earlier connection
	}
	loader := getter.ToRawKubeConfigLoader()
	config, err := getter.ToRESTConfig()
	if err != nil {
		return nil, explainConfig(err)
	}
	config = redact(getter, config)
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, explainConfig(err)
	}
	c := &Conn{Namespace: namespace, Server: withoutPassword(config.Host), getter: getter}
	raw, err := loader.RawConfig()
	if err == nil {
		if len(raw.Clusters) == 0 && len(raw.Contexts) == 0 && strings.HasSuffix(config.Host, "localhost:8080") {
			// kubectl's ancient default, which no cluster answers today.
			return nil, explainConfig(clientcmd.ErrEmptyConfig)
		}
		c.Context, c.User = chosen(raw, getter)
	}
	entry := login{user: c.User, cluster: config.Host, info: raw.AuthInfos[c.User]}
	if context := raw.Contexts[c.Context]; context != nil {
		entry.cluster = cmp.Or(ptr.Deref(optional(flags).ClusterName, ""), context.Cluster)
	}
	config = rest.CopyConfig(config)
	// Loading the configuration again writes to the same entries.
	config.ExecProvider = config.ExecProvider.DeepCopy()
	entry.info = entry.info.DeepCopy()
	// The API server's priority and fairness decides who waits; a limit on this
	// side would only slow down a small tool.
	config.QPS = -1
	if config.Dial == nil {
		timeout := o.DialTimeout
		if timeout == 0 {
			timeout = 10 * time.Second
		}
		config.Dial = (&net.Dialer{Timeout: timeout, KeepAlive: 15 * time.Second}).DialContext
	}
	if o.UserAgent != "" {
		config.UserAgent = o.UserAgent
	}
	config.WarningHandler = &warnings{print: o.Warn, seen: map[string]bool{}}
	c.Config = config
	c.clients(&transport{login: entry, limit: config.Timeout})
	if shares {
		flags.WrapConfigFn = c.share
	}
	return c, nil
}

// chosen returns the context and the user that are used. The raw configuration
// knows nothing of --context and --user.
func chosen(raw clientcmdapi.Config, getter genericclioptions.RESTClientGetter) (kubeContext, user string) {
	flags, _ := getter.(*genericclioptions.ConfigFlags)
	flags = optional(flags)
	kubeContext = cmp.Or(ptr.Deref(flags.Context, ""), raw.CurrentContext)
	if ctx := raw.Contexts[kubeContext]; ctx != nil {
		user = ctx.AuthInfo
	}
	return kubeContext, cmp.Or(ptr.Deref(flags.AuthInfoName, ""), user)
}

// optional returns flags, or those of a getter that has none.
func optional(flags *genericclioptions.ConfigFlags) *genericclioptions.ConfigFlags {
	if flags == nil {
		return &genericclioptions.ConfigFlags{}
	}
	return flags
}

// share is the configuration of every other client that is made from the same flags
// (discovery, the manifest's builder): it uses the transport of this one, so that all
// of them log in once.
func (c *Conn) share(config *rest.Config) *rest.Config {
	server, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return config // whoever uses it reports the error
	}
	return &rest.Config{
		Host:           server.String(),
		APIPath:        config.APIPath,
		ContentConfig:  config.ContentConfig,
		UserAgent:      c.Config.UserAgent,
		QPS:            c.Config.QPS,
		WarningHandler: config.WarningHandler,
		Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			client, err := c.http()
			if err != nil {
				return nil, err
			}
			return client.Transport.RoundTrip(req)
		}),
	}
}

// clients prepares the clients, which are made when they are first used, with t.
func (c *Conn) clients(t *transport) {
	config := c.Config
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(req *http.Request) (*http.Response, error) { return t.answer(t.firstAnswer(next, req)) })
	})
	c.http = sync.OnceValues(func() (*http.Client, error) {
		client, err := rest.HTTPClientFor(config)
		if err != nil && (config.ExecProvider != nil || config.AuthProvider != nil) {
			return nil, t.login.explain(err)
		}
		if err != nil {
			return nil, explainConfig(err)
		}
		t.next = client.Transport
		client.Transport = t
		return client, nil
	})
	c.kube = sync.OnceValues(func() (kubernetes.Interface, error) {
		typed := rest.CopyConfig(config)
		typed.ContentType = runtime.ContentTypeProtobuf
		typed.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
		client, err := c.http()
		if err != nil {
			return nil, err
		}
		return kubernetes.NewForConfigAndClient(typed, client)
	})
	c.dynamic = sync.OnceValues(func() (dynamic.Interface, error) {
		client, err := c.http()
		if err != nil {
			return nil, err
		}
		return dynamic.NewForConfigAndClient(config, client)
	})
	c.mapper = sync.OnceValues(c.getter.ToRESTMapper)
}

// Kube is the typed client.
func (c *Conn) Kube() (kubernetes.Interface, error) { return c.kube() }

// Dynamic is the client for objects of any kind.
func (c *Conn) Dynamic() (dynamic.Interface, error) { return c.dynamic() }

// HTTP is an authenticated client for the API server, for what the typed
// clients hide: a pod's answer behind the proxy.
func (c *Conn) HTTP() (*http.Client, error) { return c.http() }

// Mapper knows the cluster's kinds; it reads the discovery cache or asks the
// cluster.
func (c *Conn) Mapper() (meta.RESTMapper, error) { return c.mapper() }

// Getter is the source of the connection.
func (c *Conn) Getter() genericclioptions.RESTClientGetter { return c.getter }

// Ping checks that the cluster answers and accepts this user. Findings: those
// of Explain.
func (c *Conn) Ping(ctx context.Context) error {
	kube, err := c.Kube()
	if err != nil {
		return err
	}
	err = kube.Discovery().RESTClient().Get().AbsPath("/version").Do(ctx).Error()
	return Explain("reach "+c.String(), err)
}

// String names the cluster for messages.
func (c *Conn) String() string {
	if c.Context == "" {
		return c.Server
	}
	return fmt.Sprintf("context %q (%s)", c.Context, c.Server)
}

// warnings passes on each warning of the API server once.
type warnings struct {
	print func(string)
	mu    sync.Mutex
	seen  map[string]bool
}

// HandleWarningHeader implements rest.WarningHandler; only code 299 is in use.
func (w *warnings) HandleWarningHeader(code int, _ string, message string) {
	if code != 299 || message == "" || w.print == nil {
		return
	}
	w.mu.Lock()
	known := w.seen[message]
	w.seen[message] = true
	w.mu.Unlock()
	if !known {
		w.print(message)
	}
}
