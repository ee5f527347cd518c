// Package manifest puts a new image into the file that describes a workload,
// changing the bytes of one scalar and no other byte of the file.
//
// Comments, quoting, line ends, a byte order mark, other documents and other
// containers stay as they are, because nothing is ever encoded again: the
// parser only tells where the scalar is. Every edit is then proved before it is
// given out. The edited bytes are parsed once more, and both trees must be
// equal but for that one scalar; where they are not, or where the scalar cannot
// be changed alone (an anchor that others use, a template, a duplicate key), the
// answer is a Finding with file and line and the file stays untouched.
//
// Stamp works on bytes. Find looks through files, directories and
// kustomizations for the one place that decides the image and returns a Plan,
// which writes it, puts it back, or hands out the stamped bytes without
// touching the disk.
//
// # Decisions
//
// Which workload is meant is said by kind, namespace and name; an object
// without a namespace matches, since kubectl gives it one. Only the container
// that is named is changed; other places with an image of the same repository are
// reported in Edit.Also and left alone.
//
// In a kustomization one place may decide several images. It is edited all the
// same, because that is what the file says; what moves along is in
// Edit.Together, and Plan.Rendered is what is to be applied, so that the cluster
// and the files never differ.
//
// # To support another kind of file
//
// Give parse.go a way to build its tree with the position of each scalar;
// finding, proving and writing work on the tree.
package manifest

// Target says whose image is meant.
type Target struct {
	// File is how findings name the bytes; "" for "manifest".
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
	Workload  string `json:"workload"` // Deployment joelclaw/system-bus-worker; of any kind
	Container string `json:"container,omitempty"`
	// Field is where in the container, or in the object, unless it is the
	// container's image: "env SELF_IMAGE".
	Field string `json:"field,omitempty"`
	Image string `json:"image"`
}

// Edit is what Stamp changed, or would have changed.
type Edit struct {
	File string `json:"file,omitempty"`
	Line int    `json:"line"` // of the scalar, from 1
	Old  string `json:"old"`  // its value before
	New  string `json:"new"`
	// Workload is the object whose image it is: Deployment joelclaw/w.
	Workload string `json:"workload,omitempty"`
	// Also are the other places with an image of the same repository that stay as
	// they are; Together those that move along, with their new value (kustomize).
	Also     []Use `json:"also,omitempty"`
	Together []Use `json:"together,omitempty"`

	start, end int    // byte range in the source
	with       string // what stands there afterwards
}

// Changed reports whether the scalar had another value before.
func (e Edit) Changed() bool { return e.Old != e.New }
