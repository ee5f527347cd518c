package build

import (
	"encoding/json"
	"errors"
	"strings"
	"time"
)

// status is one line of `--progress=rawjson`, with the parts of BuildKit's
// client.SolveStatus (moby/buildkit client/graph.go) that are used here.
type status struct {
	Vertexes []vertex        `json:"vertexes"`
	Statuses []vertexStatus  `json:"statuses"`
	Logs     []vertexLog     `json:"logs"`
	Warnings []vertexWarning `json:"warnings"`
}

type vertex struct {
	Digest    string     `json:"digest"`
	Name      string     `json:"name"`
	Started   *time.Time `json:"started"`
	Completed *time.Time `json:"completed"`
	Cached    bool       `json:"cached"`
	Error     string     `json:"error"`
}

// vertexStatus is the progress of one part of a vertex, such as a layer that is
// pulled, unpacked or exported. Total is 0 if the size is unknown.
type vertexStatus struct {
	ID        string     `json:"id"`
	Vertex    string     `json:"vertex"`
	Total     int64      `json:"total"`
	Current   int64      `json:"current"`
	Completed *time.Time `json:"completed"`
}

type vertexLog struct {
	Vertex string `json:"vertex"`
	Stream int    `json:"stream"`
	Data   []byte `json:"data"`
}

type vertexWarning struct {
	Short      []byte `json:"short"`
	URL        string `json:"url"`
	SourceInfo *struct {
		Filename string `json:"filename"`
	} `json:"sourceInfo"`
	Range []struct {
		Start struct {
			Line int `json:"line"`
		} `json:"start"`
	} `json:"range"`
}

var errNoStatus = errors.New("not a progress record")

// parseStatus parses one line. The error is errNoStatus for anything else that a
// builder prints.
func parseStatus(line []byte) (status, error) {
	var s status
	if !strings.HasPrefix(strings.TrimLeft(string(line[:min(len(line), 16)]), " \t"), "{") {
		return s, errNoStatus
	}
	if err := json.Unmarshal(line, &s); err != nil {
		return status{}, errNoStatus
	}
	if s.Vertexes == nil && s.Statuses == nil && s.Logs == nil && s.Warnings == nil {
		return status{}, errNoStatus
	}
	return s, nil
}
