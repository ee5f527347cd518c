package manifest

import "context"

// Options says where to look and what for.
type Options struct {
	// Files are files and directories, as kubectl's -f takes them.
	Files []string
	// Recursive looks into directories below those of Files, as kubectl's -R.
	Recursive bool
	// Kustomize is a directory with a kustomization, as kubectl's -k.
	Kustomize string
	Target    Target
	Ref       string
}

// Plan is one edit of one file that has not been made yet.
type Plan struct {
	Edit
	// Rendered is what is to be applied: the stamped kustomization's objects.
	// It is nil without Options.Kustomize.
	Rendered []byte
}

// Find looks for the one file that decides the target's image. It changes nothing.
func Find(ctx context.Context, o Options) (*Plan, error) { panic("in the making") }

// Stamped returns the file's bytes with the edit made, and the file's path.
func (p *Plan) Stamped() (path string, data []byte) { panic("in the making") }

// Write makes the edit on disk: atomically, through symlinks, keeping mode and
// owner. It does nothing when the image was the wanted one already.
func (p *Plan) Write() (*Written, error) { panic("in the making") }

// Written is what Write did, kept so that it can be put back, by a later run too.
type Written struct {
	File string `json:"file"` // absolute
	Line int    `json:"line"`
	Old  string `json:"old"`
	New  string `json:"new"`
}

// Restore puts the old image back if the file still has the one that was
// written; restored is false, without an error, when the old one is there already.
func (w *Written) Restore() (restored bool, err error) { panic("in the making") }
