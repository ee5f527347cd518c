package client

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
)

// Connected reports whether a worker of an app in connect mode is connected. known
// is false where the server does not list its connections. GraphQL lists them since
// connect exists, and a server that was started with --no-ui on a route of its own,
// which needs the key (1.43: pkg/connect/rest).
func (c *Client) Connected(ctx context.Context, appID string) (connected, known bool, err error) {
	have, err := c.schemaFor(ctx)
	if err != nil {
		return false, false, err
	}
	if !c.hasGraphQL() || !have.has("Query", "workerConnections") {
		return c.connectedByREST(ctx, appID)
	}
	var out struct {
		WorkerConnections struct {
			Edges []struct{ Node struct{ Status string } }
		}
	}
	err = c.ask(ctx, "list the connected workers", func(schema) string {
		return "query($f:ConnectV1WorkerConnectionsFilter!){workerConnections(first:100," +
			"orderBy:[{field:CONNECTED_AT,direction:DESC}],filter:$f){edges{node{status}}}}"
	}, map[string]any{"f": map[string]any{"appIDs": []string{appID}, "status": liveStates}}, &out)
	if errors.Is(err, ErrNoGraphQL) {
		return c.connectedByREST(ctx, appID)
	}
	for _, e := range out.WorkerConnections.Edges {
		connected = connected || slices.Contains(liveStates, e.Node.Status)
	}
	return connected, err == nil, err
}

// liveStates are the states of a connection over which work can still come back.
var liveStates = []string{"CONNECTED", "READY", "DRAINING"}

// lastLive is the number of the last of the live states in the server's enumeration,
// whose first one is 0 and therefore omitted (proto/gen/connect/v1).
const lastLive = 2

// noRoute are the answers of a server to a path that it does not know; 200 comes with
// the page of its UI.
var noRoute = []int{http.StatusOK, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented}

// connectedByREST lists the live connections. The path names an environment, of which
// a self-hosted server has one, whatever it is called.
func (c *Client) connectedByREST(ctx context.Context, appID string) (connected, known bool, err error) {
	var out struct {
		Data *[]struct {
			Status int
			// Synced are the apps that the worker has registered, by id.
			Synced map[string]string `json:"synced_worker_groups"`
		}
	}
	err = c.rest(ctx, "list the connected workers", http.MethodGet, "/v0/connect/envs/dev/conns", nil, &out)
	said, refused := errors.AsType[*wire.ServerError](err)
	switch {
	case refused && slices.Contains(noRoute, said.Status), err == nil && out.Data == nil:
		return false, false, nil
	case refused && said.Status == http.StatusUnauthorized && c.key.IsZero():
		return false, false, nil // it has GraphQL, so that nothing else needs the key
	case err != nil:
		return false, false, err
	}
	for _, one := range *out.Data {
		if _, ok := one.Synced[appID]; ok && one.Status <= lastLive {
			return true, true, nil
		}
	}
	return false, true, nil
}
