// Package receipt keeps what was shipped, by whom and with what result: a JSON
// document under the user's state directory for each run of either plugin, and a
// short history in the annotations of the workload itself.
package receipt

import (
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Receipt is one run.
type Receipt struct {
	Version  int                    `json:"version"`
	Command  string                 `json:"command"` // publish, rollout, undo
	Worker   string                 `json:"worker"`
	Tag      string                 `json:"tag,omitempty"`
	Started  time.Time              `json:"started"`
	Seconds  float64                `json:"seconds"`
	End      string                 `json:"end"`
	ExitCode int                    `json:"exitCode"`
	Stages   []pipeline.StageRecord `json:"stages,omitempty"`
	Findings []*pipeline.Finding    `json:"findings,omitempty"`
}
