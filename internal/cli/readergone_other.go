//go:build !unix

package cli

// ReaderGone would return an error if nobody read standard output any more, which only a
// write shows on this system.
func (e *Env) ReaderGone() error { return nil }
