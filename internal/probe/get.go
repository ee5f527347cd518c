package probe

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/forward"
)

// get requests the page of a pod through the API server's proxy, or by
// port-forward if the user may not use the proxy.
func get(ctx context.Context, conn *cluster.Conn, o Options, pod string) (response, error) {
	r, err := viaProxy(ctx, conn, o, pod)
	if !apierrors.IsForbidden(err) {
		return r, err
	}
	refused := err
	r, err = viaForward(ctx, conn, o, pod)
	if errors.Is(err, forward.ErrForbidden) {
		return r, o.forbidden(pod, refused, "over HTTP",
			"ask the cluster's administrator for get on pods/proxy or create on pods/portforward")
	}
	return r, err
}

func viaProxy(ctx context.Context, conn *cluster.Conn, o Options, pod string) (response, error) {
	kube, err := conn.Kube()
	if err != nil {
		return response{}, err
	}
	path, err := o.pathURL()
	if err != nil {
		return response{}, err
	}
	u := kube.CoreV1().RESTClient().Get().Namespace(o.Namespace).Resource("pods").
		Name(fmt.Sprintf("%s:%d", pod, o.Port)).SubResource("proxy").URL()
	u.Path = strings.TrimSuffix(u.Path, "/") + path.Path
	u.RawQuery = path.RawQuery
	client, err := conn.HTTP()
	if err != nil {
		return response{}, err
	}
	r, err := fetch(ctx, client, u.String())
	if err != nil {
		return r, cluster.Explain("reach pod "+pod, err)
	}
	r.via = "proxy"
	// Refusals of the API server arrive in the same way as responses of the pod, but
	// are Status objects.
	var status metav1.Status
	if r.status >= http.StatusBadRequest && json.Unmarshal(r.body, &status) == nil && status.Kind == "Status" && status.APIVersion == "v1" {
		return response{}, apierrors.FromObject(&status)
	}
	return r, nil
}

func viaForward(ctx context.Context, conn *cluster.Conn, o Options, pod string) (response, error) {
	return o.through(conn, pod, func(tunnel *forward.Tunnel) (response, error) {
		return o.page(ctx, tunnel, tunnel.Transport())
	})
}

// page requests the page through a tunnel, and closes the transport's
// connections.
func (o Options) page(ctx context.Context, tunnel *forward.Tunnel, transport *forward.Transport) (response, error) {
	defer transport.CloseIdleConnections()
	path, err := o.pathURL()
	if err != nil {
		return response{}, err
	}
	return fetch(ctx, &http.Client{Transport: transport}, tunnel.Target().URL().ResolveReference(path).String())
}

// fetch requests one page. It does not follow redirects, because through the
// proxy they would lead away from the pod.
func fetch(ctx context.Context, client *http.Client, url string) (response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return response{}, err
	}
	still := *client
	still.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := still.Do(req)
	if err != nil {
		return response{}, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, bodyLimit))
	if err != nil {
		return response{}, err
	}
	return response{status: res.StatusCode, body: body}, nil
}
