package inngestd

import (
	"slices"
	"time"
)

// connection is a worker that dialled the server. The double does not speak the
// protocol: a registration in connect mode makes one, Disconnect ends it.
type connection struct {
	id     string
	app    *app
	status string
	at     time.Time
}

const (
	connectionReady = "READY"
	connectionGone  = "DISCONNECTED"
)

// Disconnect ends all connections of an app, as the end of its workers does.
func (s *Server) Disconnect(app string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.connections {
		if c.app.name == app {
			c.status = connectionGone
		}
	}
}

func (s *Server) resolveConnections(args map[string]any) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	filter, _ := args["filter"].(map[string]any)
	wanted := func(name, value string) bool {
		list, ok := filter[name].([]any)
		return !ok || slices.Contains(list, any(value))
	}
	edges := []object{}
	for _, c := range slices.Backward(s.connections) {
		if !wanted("appIDs", c.app.id) || !wanted("status", c.status) {
			continue
		}
		o := object{
			"id": c.id, "status": c.status, "appName": c.app.name, "appID": c.app.id, "connectedAt": timeOrNil(c.at),
			"lastHeartbeatAt": timeOrNil(c.at), "disconnectedAt": nil, "disconnectReason": nil,
		}
		if c.status == connectionGone {
			o["disconnectReason"] = "UNEXPECTED"
		}
		edges = append(edges, object{"node": o})
	}
	return object{"edges": edges, "totalCount": len(edges)}, nil
}
