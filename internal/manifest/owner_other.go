//go:build !unix

package manifest

import "os"

// keepOwner does nothing: a file inherits its owner from its directory.
func keepOwner(*os.File, os.FileInfo) error { return nil }
