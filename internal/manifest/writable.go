package manifest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// CodeNotWritten means that a manifest could not be replaced.
const CodeNotWritten pipeline.Code = "manifest-not-written"

// Writable returns nil if Write can be expected to succeed, and otherwise a
// Finding with CodeNotWritten. It does not write anything: it opens the file and
// checks the permissions of its directory, since the file is replaced and not
// rewritten. A full disk is only noticed when writing.
func (p *Plan) Writable() error {
	path, err := filepath.EvalSymlinks(p.File)
	if err != nil {
		return unreadable(p.File, err)
	}
	refused := func(why, fix string, err error) error {
		return &pipeline.Finding{Code: CodeNotWritten, Severity: pipeline.Error, Where: p.File, Err: err,
			What: "the manifest's file cannot be written", Why: why, Fix: fix + ", or leave it as it is with --no-write"}
	}
	info, err := os.Stat(path)
	if err != nil {
		return unreadable(p.File, err)
	}
	if info.Mode().Perm()&0o200 == 0 {
		return refused("it is read-only ("+info.Mode().Perm().String()+")", "make it writable", nil)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err == nil {
		err = f.Close()
	}
	if err != nil {
		return refused(reason(err), "make it writable", err)
	}
	dir := filepath.Dir(path)
	if err := mayReplace(dir, info); err != nil {
		if errors.Is(err, errOwner) {
			return refused(err.Error(), "run as its owner", err)
		}
		return refused(fmt.Sprintf("its directory %s does not let it be replaced: %s", dir, reason(err)), "make the directory writable", err)
	}
	return nil
}

// errOwner means that a new file could not be given the owner of the old one.
var errOwner = errors.New("it belongs to another user or group, which a file that replaces it could not keep")
