// Package release knows which version this program is, and whether a newer one
// has been released.
package release

// Info is what is known of the running program.
type Info struct {
	Version   string            `json:"version"`
	Commit    string            `json:"commit,omitempty"`
	Dirty     bool              `json:"dirty,omitempty"`
	Built     string            `json:"built,omitempty"`
	Go        string            `json:"go"`
	Platform  string            `json:"platform"`
	Libraries map[string]string `json:"libraries,omitempty"`
}

// Version returns what the linker or the build information says.
func Version() Info { panic("in the making") }
