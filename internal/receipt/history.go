package receipt

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// Annotations on the workload. The Deployment controller copies them to every
// ReplicaSet, which is one more reason to limit the history. They are not part
// of the pod template, so setting them does not start a rollout.
const (
	// AnnotationHistory contains the latest entries as a JSON array, newest first.
	AnnotationHistory = "dev.sbw/history"
	// AnnotationImage contains the last reference that was shipped successfully.
	AnnotationImage = "dev.sbw/image"
	// AnnotationCause contains the line that `kubectl rollout history` shows.
	AnnotationCause = "kubernetes.io/change-cause"

	// MaxEntries and MaxBytes limit the history; the oldest entries are removed
	// first. All annotations of an object together are limited to 256 KiB
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
	// Revision is the name of the ReplicaSet or ControllerRevision that ran at the
	// end. It is not its number, because that changes if somebody rolls back to it.
	Revision string `json:"n,omitempty"`
	// Made is the name of the revision that this run rolled out. After a failed run,
	// another one is running.
	Made      string `json:"m,omitempty"`
	Functions int    `json:"f,omitempty"`
}

// entry is the stored form of an Entry, with the time in seconds since 1970.
type entry struct {
	Unix int64 `json:"t"`
	Entry
}

// EntryOf returns the history entry for a receipt.
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

// short returns the short form of a commit's hash.
func short(commit string) string { return commit[:min(len(commit), 12)] }

// History reads the entries, newest first. Unknown fields of entries from a later
// version are ignored. If the annotation is damaged, err is a warning with the
// code "history-unreadable", and whatever could be read is returned.
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
		What: "the history on the workload cannot be read", Err: err,
		Why: termtext.Line(err.Error()) + "; the next rollout starts a new history, " +
			"and the machines from which images were shipped still have the complete receipts",
	}
}

// Record returns the annotations to set on a workload, given its current ones, so
// that its history begins with e. Older entries are kept byte for byte within the
// limits. A damaged history is replaced. The given map is not modified.
func Record(annotations map[string]string, e Entry) (map[string]string, error) {
	at := entry{Unix: e.At.Unix(), Entry: e}
	newest, err := json.Marshal(at)
	if err != nil {
		return nil, fmt.Errorf("cannot encode the history entry: %w", err)
	}
	old, _ := rawHistory(annotations) // a damaged history is replaced; History reports it
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
		// After an undo, the revision that runs has its own cause again.
		set[AnnotationCause] = Cause(e)
	}
	if e.End == pipeline.Done.String() {
		set[AnnotationImage] = e.Image
	}
	return set, nil
}

// Cause returns the line that `kubectl rollout history` shows.
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

// Merge returns annotations with those in set added or replaced.
func Merge(annotations, set map[string]string) map[string]string {
	m := maps.Clone(annotations)
	if m == nil {
		m = map[string]string{}
	}
	maps.Copy(m, set)
	return m
}
