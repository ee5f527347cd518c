package inngestd

import (
	"net/http"
	"slices"
	"time"
)

// connection is a worker that dialled the server. The double does not speak the
// protocol: a registration in connect mode makes one, Disconnect ends it.
type connection struct {
	id      string
	gateway string
	app     *app
	status  string
	at      time.Time
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

// listConnections is GET /v0/connect/envs/{env}/conns: the live connections, whatever
// the environment is called. --no-ui does not remove it.
func (s *Server) listConnections(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	data := []map[string]any{}
	for _, c := range s.connections {
		if c.status == connectionGone {
			continue
		}
		data = append(data, map[string]any{
			"id": c.id, "gateway_id": c.gateway, "instance_id": "i1", "status": 1, // READY in the server's enumeration
			"all_worker_groups": map[string]string{c.app.name: c.app.checksum}, "synced_worker_groups": map[string]string{c.app.id: c.app.checksum},
			"last_heartbeat_at": map[string]int64{"seconds": c.at.Unix(), "nanos": int64(c.at.Nanosecond())},
			"sdk_language":      c.app.sdkLanguage, "sdk_version": c.app.sdk,
			"attributes": map[string]any{"cpu_cores": 2, "mem_bytes": 8 << 30, "os": "linux"},
		})
	}
	writeJSON(w, http.StatusOK, map[string]any{"data": data})
}
