// Package manifest puts a new image into the file that describes a workload,
// changing one scalar and no other byte of the file. Find returns a Plan, which
// writes the new image, restores the old one, or returns the stamped bytes
// without touching the disk; Stamp does the same for bytes in memory.
//
// Comments, quoting, line ends, a byte order mark, other documents and other
// containers stay as they are, because nothing is ever encoded again: the parser
// is only used to locate the scalar. Every edit is verified before it is
// returned: the edited bytes are parsed again, and both trees must be equal
// except for that one scalar. If they are not, or if the scalar cannot be changed
// on its own (an anchor that is used elsewhere, a template, a duplicate key), the
// result is a Finding with file and line, and the file is not changed.
//
// Find searches files, directories and kustomizations for the one place that
// determines the image.
//
// # Decisions
//
// A workload is identified by kind, namespace and name. An object without a
// namespace matches, because kubectl assigns one to it. Only the named container
// is changed. Other places with an image of the same repository are reported in
// Edit.Also and not changed.
//
// In a kustomization one place may determine several images. It is edited
// nevertheless, because that is the meaning of the file. The other images are
// listed in Edit.Together. Plan.Rendered is what has to be applied, so that the
// cluster and the files never differ.
//
// # Supporting another kind of file
//
// Make parse.go build a tree with the position of each scalar. Finding, verifying
// and writing work on the tree.
package manifest

// Target identifies the container whose image to change.
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
	// Field is the place in the container, or in the object if there is no
	// container: "env SELF_IMAGE". It is empty for the container's image.
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
	// Also lists the other places with an image of the same repository that stay as
	// they are. Together lists those that change as well, with their new value
	// (kustomize only).
	Also     []Use `json:"also,omitempty"`
	Together []Use `json:"together,omitempty"`

	start, end int    // byte range in the source
	with       string // the text that replaces it
}

// Changed reports whether the scalar had a different value before.
func (e Edit) Changed() bool { return e.Old != e.New }
