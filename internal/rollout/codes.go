package rollout

import (
	"errors"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// The codes of this package's findings.
const (
	CodeCatalogUnreadable pipeline.Code = "catalog-unreadable"
	CodeChangedMeanwhile  pipeline.Code = "changed-meanwhile"
	CodeContextLeft       pipeline.Code = "context-left"
	CodeDriftFunctions    pipeline.Code = "drift-functions"
	CodeDriftImage        pipeline.Code = "drift-image"
	CodeDriftManifest     pipeline.Code = "drift-manifest"
	CodeImageDiffers      pipeline.Code = "image-differs"
	CodeImageTagMoved     pipeline.Code = "image-tag-moved"
	CodeJournalUnreadable pipeline.Code = "journal-unreadable"
	CodeManifestAlso      pipeline.Code = "manifest-also"
	CodeManifestLeft      pipeline.Code = "manifest-left"
	CodeManifestTogether  pipeline.Code = "manifest-together"
	CodeManifestTarget    pipeline.Code = "manifest-target"
	CodeNeverShipped      pipeline.Code = "never-shipped"
	CodeNotChecked        pipeline.Code = "preflight-blind"
	CodeRevisionCurrent   pipeline.Code = "revision-current"
	CodeStatefulSetStuck  pipeline.Code = "statefulset-stuck"
)

func isMissing(err error) bool { return isCode(err, "workload-unknown") }
func isSuperseded(err error) bool {
	return isCode(err, "superseded") || isCode(err, "workload-replaced")
}
func isLockForbidden(err error) bool      { return isCode(err, "lock-forbidden") }
func isInngestUnreachable(err error) bool { return isCode(err, "inngest-unreachable") }
func isForbidden(err error) bool {
	return isCode(err, "forward-forbidden") || isCode(err, "cluster-forbidden")
}

const CodeMidRollout pipeline.Code = "mid-rollout"

func isCode(err error, code pipeline.Code) bool {
	f, ok := errors.AsType[*pipeline.Finding](err)
	return ok && f.Code == code
}
