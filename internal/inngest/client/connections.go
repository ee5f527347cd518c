package client

import (
	"context"
	"errors"
	"slices"
)

// Connected reports whether a worker of an app in connect mode is connected. known
// is false where the server does not say: with --no-ui, and before connect
// connections were listed.
func (c *Client) Connected(ctx context.Context, appID string) (connected, known bool, err error) {
	have, err := c.schemaFor(ctx)
	if err != nil {
		return false, false, err
	}
	if !c.hasGraphQL() || !have.has("Query", "workerConnections") {
		return false, false, nil
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
		return false, false, nil
	}
	for _, e := range out.WorkerConnections.Edges {
		connected = connected || slices.Contains(liveStates, e.Node.Status)
	}
	return connected, err == nil, err
}

// liveStates are the states of a connection over which work can still come back.
var liveStates = []string{"CONNECTED", "READY", "DRAINING"}
