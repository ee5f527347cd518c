package receipt

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Annotations on the workload. The Deployment controller copies them to every
// ReplicaSet, which is one more reason for the bounds of the history; they do
// not stand in the pod template, so setting them starts no rollout.
const (
	// AnnotationHistory holds the last entries as a JSON array, the newest first.
	AnnotationHistory = "dev.sbw/history"
	// AnnotationImage is the reference that was shipped last with success.
	AnnotationImage = "dev.sbw/image"
	// AnnotationCause is shown by `kubectl rollout history`.
	AnnotationCause = "kubernetes.io/change-cause"

	// MaxEntries and MaxBytes bound the history; the oldest go first. All
	// annotations of an object together may have 256 KiB
	// (apimachinery, TotalAnnotationSizeLimitB).
	MaxEntries = 20
	MaxBytes   = 8 << 10
)

// Entry is one run in the history of a workload.
type Entry struct {
	At      time.Time `json:"-"`
	Command string    `json:"c,omitempty"`
	Image   string    `json:"i"` // REPOSITORY:TAG@DIGEST
	Commit  string    `json:"g,omitempty"`
	Dirty   bool      `json:"d,omitempty"`
	By      string    `json:"u,omitempty"`
	Seconds float64   `json:"s,omitempty"`
	End     string    `json:"e,omitempty"`
	// Revision is the name of the ReplicaSet or ControllerRevision that ran in
	// the end: its number changes when one goes back to it.
	Revision string `json:"n,omitempty"`
	// Made is the name of the one that this run rolled out, which after a failed
	// run is not the one that runs.
	Made      string `json:"m,omitempty"`
	Functions int    `json:"f,omitempty"`
}

// entry is an Entry at rest: the time in seconds since 1970.
type entry struct {
	Unix int64 `json:"t"`
	Entry
}

// EntryOf is the line of a receipt.
func EntryOf(r *Receipt) Entry {
	e := Entry{
		At: r.Started, Command: r.Command, Image: r.Image.String(), Commit: short(r.Commit), Dirty: r.Dirty,
		By: r.By.String(), Seconds: r.Seconds, End: r.End, Functions: len(r.Functions),
	}
	if r.Target != nil {
		e.Revision, e.Made = r.Target.ReplicaSet, r.Target.Made
	}
	return e
}

// short is a commit as people write it.
func short(commit string) string { return commit[:min(len(commit), 12)] }

// History reads the entries, the newest first. Entries of a later version keep
// what is known of them. Where the annotation has been damaged, err is a warning
// with the code "history-unreadable", and what could be read is returned.
func History(annotations map[string]string) ([]Entry, error) {
	raw, err := rawHistory(annotations)
	var all []Entry
	for _, r := range raw {
		var e entry
		if uerr := json.Unmarshal(r, &e); uerr != nil {
			err = damaged(uerr)
			continue
		}
		e.At = time.Unix(e.Unix, 0).UTC()
		all = append(all, e.Entry)
	}
	return all, err
}

func rawHistory(annotations map[string]string) (raw []json.RawMessage, err error) {
	text := annotations[AnnotationHistory]
	if text == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, damaged(err)
	}
	return raw, nil
}

func damaged(err error) error {
	return &pipeline.Finding{
		Code: CodeHistoryUnreadable, Severity: pipeline.Warning, Where: "annotation " + AnnotationHistory,
		What: "the history on the workload cannot be read", Why: oneLine(err.Error()), Err: err,
		Fix: "it begins anew with the next rollout; the receipts of those who shipped are whole",
	}
}

// Record returns the annotations to be set on a workload that has the given
// ones, so that its history begins with e. Older entries stay byte for byte,
// until they are beyond the bounds. The given map is not altered; a damaged
// history is replaced.
func Record(annotations map[string]string, e Entry) (map[string]string, error) {
	at := entry{Unix: e.At.Unix(), Entry: e}
	newest, err := json.Marshal(at)
	if err != nil {
		return nil, fmt.Errorf("history entry: %w", err)
	}
	old, _ := rawHistory(annotations) // a damaged one begins anew, which History says
	texts, size := []string{string(newest)}, len(newest)+2
	for _, r := range old {
		size += len(r) + 1
		if len(texts) == MaxEntries || size > MaxBytes {
			break
		}
		texts = append(texts, string(r))
	}
	set := map[string]string{
		AnnotationHistory: "[" + strings.Join(texts, ",") + "]",
	}
	if e.End != pipeline.Restored.String() {
		// After going back, what runs has its own cause again.
		set[AnnotationCause] = Cause(e)
	}
	if e.End == pipeline.Done.String() {
		set[AnnotationImage] = e.Image
	}
	return set, nil
}

// Cause is the line that `kubectl rollout history` shows.
func Cause(e Entry) string {
	s := fmt.Sprintf("sbw %s %s", e.Command, imageref.Split(e.Image).Tagged())
	if e.Commit != "" {
		s += " from " + e.Commit
		if e.Dirty {
			s += "+changes"
		}
	}
	if e.By != "" {
		s += " by " + e.By
	}
	return s
}

// Merge returns annotations with set put over them.
func Merge(annotations, set map[string]string) map[string]string {
	m := maps.Clone(annotations)
	if m == nil {
		m = map[string]string{}
	}
	maps.Copy(m, set)
	return m
}
