//go:build !unix

package manifest

import "os"

// mayReplace cannot be answered here without trying.
func mayReplace(string, os.FileInfo) error { return nil }
