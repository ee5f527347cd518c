package kubecmd

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/joelhooks/gh-sbw/internal/cluster/verdict"
	"github.com/joelhooks/gh-sbw/internal/inngest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/probe"
)

// result is what a rollout came to, for `-o json` and yaml.
type result struct {
	Workload  string                 `json:"workload"`
	Namespace string                 `json:"namespace"`
	Context   string                 `json:"context,omitempty"`
	Tag       string                 `json:"tag"`
	Image     string                 `json:"image,omitempty"`
	End       string                 `json:"end"`
	ExitCode  int                    `json:"exitCode"`
	Error     string                 `json:"error,omitempty"`
	Verdict   *verdict.Verdict       `json:"verdict,omitempty"`
	Probes    []probe.Answer         `json:"probes,omitempty"`
	Refreshed *inngest.Refreshed     `json:"registration,omitempty"`
	Lost      []inngest.LostRun      `json:"lostRuns,omitempty"`
	Findings  []*pipeline.Finding    `json:"findings,omitempty"`
	Stages    []pipeline.StageRecord `json:"stages"`
}

// current is the image that is rolled out, as far as it is known.
func (r *rollout) current() string {
	// Only the value is wanted: whoever failed to find it has told why.
	if img, err := r.img.Get(context.Background()); err == nil {
		return r.reference(img)
	}
	return ""
}

func (r *rollout) result(out pipeline.Outcome) result {
	res := result{
		Workload: r.ref.String(), Namespace: r.ref.Namespace, Context: r.conn.Context, Tag: r.tag, Image: r.current(),
		End: out.End.String(), ExitCode: out.ExitCode(), Probes: r.answers, Refreshed: r.refreshed, Lost: r.lostRuns,
		Findings: out.Findings, Stages: out.Stages,
	}
	if r.watched.Verdict.State != "" {
		res.Verdict = &r.watched.Verdict
	}
	if out.Err != nil {
		res.Error = out.Err.Error()
	}
	return res
}

// close ends what the run opened.
func (r *rollout) close(ctx context.Context, _ *pipeline.Reporter) error {
	return errors.Join(r.held.Release(ctx), r.opened.close())
}

// warning is err as a finding that is no more than a warning, else nil.
func warning(err error) *pipeline.Finding {
	if f, ok := errors.AsType[*pipeline.Finding](err); ok && f.Severity < pipeline.Error {
		return f
	}
	return nil
}

func yamlOf(u *unstructured.Unstructured) ([]byte, error) { return yaml.Marshal(u.Object) }
