package rollout

import (
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/joelhooks/gh-sbw/internal/cluster/forward"
	"github.com/joelhooks/gh-sbw/internal/cluster/lock"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// The codes of this package's findings.
const (
	CodeCatalogUnreadable pipeline.Code = "catalog-unreadable"
	CodeChangedMeanwhile  pipeline.Code = "changed-meanwhile"
	CodeCommitsLost       pipeline.Code = "commits-lost"
	CodeContextLeft       pipeline.Code = "context-left"
	CodeDriftFunctions    pipeline.Code = "drift-functions"
	CodeDriftImage        pipeline.Code = "drift-image"
	CodeDriftManifest     pipeline.Code = "drift-manifest"
	CodeHookFailed        pipeline.Code = "hook-failed"
	CodeImageDiffers      pipeline.Code = "image-differs"
	CodeImageTagMoved     pipeline.Code = "image-tag-moved"
	CodeJournalUnreadable pipeline.Code = "journal-unreadable"
	CodeManifestAlso      pipeline.Code = "manifest-also"
	CodeManifestLeft      pipeline.Code = "manifest-left"
	CodeManifestOthers    pipeline.Code = "manifest-others"
	CodeManifestTogether  pipeline.Code = "manifest-together"
	CodeManifestTarget    pipeline.Code = "manifest-target"
	CodeNeverShipped      pipeline.Code = "never-shipped"
	CodeNotChecked        pipeline.Code = "preflight-blind"
	CodeProbeDelay        pipeline.Code = "probe-delay"
	CodeProbePort         pipeline.Code = "probe-port"
	CodeRevisionCurrent   pipeline.Code = "revision-current"
	CodeStatefulSetStuck  pipeline.Code = "statefulset-stuck"
	// CodeSwitchImpossible is the code of a refusal to make a rolling update
	// although a switch was requested.
	CodeSwitchImpossible pipeline.Code = "switch-impossible"
	// CodeUnfinished is the code of a switch that was started and not finished.
	CodeUnfinished pipeline.Code = "switch-unfinished"
	// CodeSwitchKept is the code of a new version that stays live despite a failure.
	CodeSwitchKept pipeline.Code = "switch-kept"
	// CodeBakeFailed is the code of a new version that performed worse than the old one.
	CodeBakeFailed pipeline.Code = "bake-failed"
)

func isMissing(err error) bool       { return errors.Is(err, workload.ErrUnknown) }
func isLockForbidden(err error) bool { return errors.Is(err, lock.ErrForbidden) }

// isForbidden reports whether RBAC refused the request.
func isForbidden(err error) bool {
	return errors.Is(err, forward.ErrForbidden) || apierrors.IsForbidden(err)
}
