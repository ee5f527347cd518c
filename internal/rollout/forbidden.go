package rollout

import (
	"errors"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/cluster"
	"github.com/joelhooks/gh-sbw/internal/cluster/preflight"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// joinForbidden merges all requests that were refused for lack of permissions into
// the finding that reports these permissions as missing, together with the one Role
// that grants them. Everything that could not be checked for that reason becomes one
// note.
func joinForbidden(found []*pipeline.Finding) []*pipeline.Finding {
	var missing preflight.MissingRights
	refused := slices.ContainsFunc(found, func(f *pipeline.Finding) bool {
		return f.Severity == pipeline.Error && errors.As(f, &missing)
	})
	if !refused {
		return found
	}
	var kept []*pipeline.Finding
	var blind *pipeline.Finding
	for _, f := range found {
		switch {
		case !missing.Explain(f):
			kept = append(kept, f)
		case f.Is(CodeNotChecked) && blind == nil:
			blind = f.With(func(f *pipeline.Finding) {
				f.Why, f.Fix = "you have no permission to read it", "the Role includes the permissions"
			})
			kept = append(kept, blind)
		case f.Is(CodeNotChecked):
			blind.What += ", " + strings.TrimPrefix(f.What, cannotCheck)
		case !f.Is(cluster.CodeForbidden) || f.Severity != pipeline.Error:
			kept = append(kept, f)
		}
	}
	return kept
}
