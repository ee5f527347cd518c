package conn

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
)

func service(namespace, name string) runtime.Object {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
}

func namespace(name string) runtime.Object {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
}

// TestLiveness has one row for each reason why a URL may look like that of a
// missing Service. Only a URL without any other explanation is Dead.
func TestLiveness(t *testing.T) {
	const proven = "does not exist in namespace"
	for name, c := range map[string]struct {
		url       string
		connect   bool
		elsewhere bool   // the server may run outside the cluster
		resolves  string // a host that this machine's DNS knows
		broken    bool   // DNS fails
		forbidden string // a resource that the user may not read
		answers   bool   // something answers at the URL
		want      judge.Liveness
		proof     string
	}{
		"a Service by its full name":                    {url: "http://old.joelclaw.svc.cluster.local:3111/api/inngest", want: judge.Dead, proof: proven},
		"a Service by its name in .svc":                 {url: "http://old.joelclaw.svc:3111/api/inngest", want: judge.Dead, proof: proven},
		"a Service of another namespace":                {url: "http://old.other.svc:3111/api/inngest", want: judge.Dead, proof: proven},
		"a Service in an existing namespace":            {url: "http://old.joelclaw:3111/api/inngest", want: judge.Dead, proof: proven},
		"a former name of the worker's Service":         {url: "http://worker-old:3111/api/inngest", want: judge.Dead, proof: proven},
		"a Service that exists":                         {url: "http://there:3111/api/inngest", proof: "Service there exists"},
		"a Service that exists, by its full name":       {url: "http://there.joelclaw.svc.cluster.local:3111/x", proof: "Service there exists"},
		"a connected worker":                            {url: "ws://connect?app=a", connect: true, proof: "dials"},
		"a connected worker with an http URL":           {url: "http://old.joelclaw.svc:3111/api/inngest", connect: true, proof: "dials"},
		"a connected worker by its URL":                 {url: "ws://old.joelclaw.svc", proof: "dials"},
		"a URL without a scheme":                        {url: "old.joelclaw.svc:3111", proof: "dials"},
		"an empty URL":                                  {url: "", proof: "dials"},
		"a public host of two labels":                   {url: "https://acme.dev/api/inngest", proof: "namespace dev does not exist"},
		"a public host whose last label is a namespace": {url: "https://acme.joelclaw/api/inngest", resolves: "acme.joelclaw", proof: "a host of the network"},
		"a host of mDNS":                                {url: "http://macmini.local:3111/api/inngest", proof: "namespace local does not exist"},
		"a host of the network":                         {url: "http://macmini:3111/api/inngest", proof: "may be a host of the server's network"},
		"a host of the network that answers":            {url: "http://macmini:3111/api/inngest", answers: true, want: judge.Alive, proof: "answers"},
		"a host of a tailnet":                           {url: "http://mac.tail1234.ts.net:3111/api/inngest", proof: "not the name of a Service"},
		"an address":                                    {url: "http://10.0.0.7:3111/api/inngest", proof: "not the name of a Service"},
		"an address of IPv6":                            {url: "http://[fd00::7]:3111/api/inngest", proof: "not the name of a Service"},
		"localhost":                                     {url: "http://localhost:3111/api/inngest", proof: "not the name of a Service"},
		"Docker's host":                                 {url: "http://host.docker.internal:3111/api/inngest", proof: "not the name of a Service"},
		"a compose service, the server outside":         {url: "http://api:3000/api/inngest", elsewhere: true, proof: "outside this cluster"},
		"a full name, the server outside":               {url: "http://old.joelclaw.svc.cluster.local:3111/x", elsewhere: true, proof: "outside this cluster"},
		"a full name that answers, the server outside":  {url: "http://old.joelclaw.svc:3111/x", elsewhere: true, answers: true, want: judge.Alive, proof: "answers"},
		"an existing namespace that may not be read":    {url: "http://old.joelclaw:3111/api/inngest", forbidden: "namespaces", proof: "cannot read namespace"},
		"a Service that may not be read":                {url: "http://old.joelclaw.svc:3111/api/inngest", forbidden: "services", proof: "cannot read Service"},
		"a DNS that does not answer":                    {url: "http://old.joelclaw:3111/api/inngest", broken: true, proof: "cannot look up"},
		"a former name that DNS knows":                  {url: "http://worker-old:3111/api/inngest", resolves: "worker-old", proof: "a host of the network"},
		"a former name that answers":                    {url: "http://worker-old:3111/api/inngest", answers: true, want: judge.Alive, proof: "answers"},
	} {
		kube := fake.NewClientset(service("joelclaw", "there"), service("joelclaw", "worker"), namespace("joelclaw"), namespace("other"))
		if c.forbidden != "" {
			kube.PrependReactor("get", c.forbidden, func(a clienttesting.Action) (bool, runtime.Object, error) {
				return true, nil, apierrors.NewForbidden(schema.GroupResource{Resource: c.forbidden}, "x", errors.New("no"))
			})
		}
		d := detective{
			kube: kube, own: "joelclaw", worker: "worker", inCluster: !c.elsewhere,
			ask: func(context.Context, string) bool { return c.answers },
			lookup: func(_ context.Context, host string) ([]string, error) {
				switch {
				case c.broken:
					return nil, &net.DNSError{Err: "server misbehaving", Name: host}
				case host == c.resolves:
					return []string{"192.0.2.1"}, nil
				}
				return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
			},
		}
		app := model.App{ID: "a", Name: "a", URL: c.url}
		if c.connect {
			app.Method = model.MethodConnect
		}
		got := d.judge(t.Context(), app)
		if got.Liveness != c.want {
			t.Errorf("%s: %q (%s), want %q", name, got.Liveness, got.Proof, c.want)
		}
		if !strings.Contains(got.Proof, c.proof) {
			t.Errorf("%s: the proof is %q, want %q in it", name, got.Proof, c.proof)
		}
	}
}
