package cli

import (
	"errors"
	"io/fs"
	"os"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// isUnwritable reports whether an error comes from writing to standard output: the disk
// is full, or the device accepts nothing. The error of a file names the file.
func (e *Env) isUnwritable(err error) bool {
	out, ok := e.Out.(*os.File)
	pe, failed := errors.AsType[*fs.PathError](err)
	return ok && failed && pe.Op == "write" && pe.Path == out.Name()
}

// unwritable returns the finding for an error of isUnwritable. The changes of a completed
// run remain, even if its result cannot be printed.
func (e *Env) unwritable(err error) *pipeline.Finding {
	f := &pipeline.Finding{
		Code: CodeOutput, Severity: pipeline.Error, Err: err,
		What: "cannot write the result to standard output",
		Fix:  "free space on the disk, or redirect the output to another file",
	}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		f.Why = pe.Err.Error()
	}
	if e.last == nil || e.last.End != pipeline.Done {
		return f
	}
	for _, s := range e.last.Stages {
		if s.Skipped == "" {
			f.End = pipeline.Left
			f.Why += "; the command itself has completed"
			break
		}
	}
	return f
}
