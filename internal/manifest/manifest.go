// Package manifest puts a new image into the file that describes a workload,
// changing one scalar and no other byte of the file. Find returns a Plan, which
// writes the new image, restores the old one, or returns the stamped bytes
// without touching the disk; Stamp does the same for bytes in memory.
//
// Comments, quoting, line ends, a byte order mark, other documents and other
// containers stay as they are, because nothing is ever encoded again: the
// parser is only used to locate the scalar. Every edit is proved before it is
// returned: the edited bytes are parsed again, and both trees must be equal
// except for that one scalar. If they are not, or if the scalar cannot be
// changed alone (an anchor that others use, a template, a duplicate key), the
// result is a Finding with file and line, and the file stays untouched.
//
// Find searches files, directories and kustomizations for the one place that
// decides the image.
//
// # Decisions
//
// A workload is identified by kind, namespace and name; an object without a
// namespace matches, because kubectl gives it one. Only the named container is
// changed; other places with an image of the same repository are reported in
// Edit.Also and left alone.
//
// In a kustomization one place may decide several images. It is edited
// nevertheless, because that is what the file says; the other images are listed
// in Edit.Together, and Plan.Rendered is what has to be applied, so that the
// cluster and the files never differ.
//
// # Supporting another kind of file
//
// Let parse.go build a tree with the position of each scalar; finding, proving
// and writing work on the tree.
package manifest

// Target says whose image to change.
type Target struct {
	// File is the name of the input in findings; "" means "manifest".
	File string `json:"-"`
	// Kind is Deployment, StatefulSet or DaemonSet; empty means any of them.
	Kind      string `json:"kind,omitempty"`
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
	Container string `json:"container"`
}

// Use is another place that names the image: a container's image, or a value
// such as an environment variable's.
type Use struct {
	File      string `json:"file,omitempty"`
	Line      int    `json:"line,omitempty"`
	Workload  string `json:"workload"` // "Deployment joelclaw/system-bus-worker"; any kind of object
	Container string `json:"container,omitempty"`
	// Field is the place in the container or, without a container, in the
	// object: "env SELF_IMAGE". It is empty for the container's image.
	Field string `json:"field,omitempty"`
	Image string `json:"image"`
}

// Edit is what Stamp changed, or would change.
type Edit struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line"` // of the scalar, from 1
	Old  string `json:"old"`  // its value before
	New  string `json:"new"`
	// Workload is the object with the image: "Deployment joelclaw/w".
	Workload string `json:"workload,omitempty"`
	// Also are the other places with an image of the same repository, which
	// stay as they are; Together those that change as well, with their new
	// value (kustomize).
	Also     []Use `json:"also,omitempty"`
	Together []Use `json:"together,omitempty"`

	start, end int    // byte range in the source
	with       string // the text there afterwards
}

// Changed reports whether the scalar had a different value before.
func (e Edit) Changed() bool { return e.Old != e.New }
