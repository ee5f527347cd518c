package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// kubectl's own completion runs the program kubectl_complete-NAME on PATH for the plugin
// NAME (k8s.io/kubectl pkg/cmd/plugin/plugin_completion.go, since 1.26). krew puts only
// one program of a plugin on PATH (its issue 812), so the plugin installs the second one
// itself on request. It goes beside kubectl-sbw and survives an upgrade by krew, which
// only replaces what kubectl-sbw points to.
const (
	completedPlugin  = "kubectl-sbw"
	completerProgram = "kubectl_complete-sbw"
)

// installCompleter puts kubectl_complete-sbw beside the kubectl-sbw on PATH, and returns
// its path. lookPath is exec.LookPath.
func installCompleter(goos string, lookPath func(string) (string, error)) (string, error) {
	plugin, err := lookPath(completedPlugin)
	if err != nil && !errors.Is(err, exec.ErrDot) {
		return "", pipeline.UsageErrorf(
			pipeline.CodeUsage,
			"put it there, or install it with krew",
			"%s is not on PATH, where kubectl looks for both it and %s",
			completedPlugin,
			completerProgram,
		)
	}
	if plugin, err = filepath.Abs(plugin); err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(plugin), completerProgram)
	if goos == "windows" {
		// On Windows, links need a permission that few users have.
		path += ".cmd"
	}
	if err := replaceable(path); err != nil {
		return "", err
	}
	if goos == "windows" {
		err = os.WriteFile(path, []byte(completerScript), 0o755)
	} else {
		err = os.Symlink(filepath.Base(plugin), path)
	}
	if err != nil {
		f := pipeline.UsageErrorf(
			pipeline.CodeUsage,
			fmt.Sprintf("run this with the permissions that %s was installed with, or put a link of that name anywhere on PATH", completedPlugin),
			"%s cannot be written: %s",
			path,
			reason(err),
		)
		f.Err = err
		return "", f
	}
	return path, nil
}

const completerScript = "@rem made by kubectl sbw completion --install\r\n@kubectl sbw __complete %*\r\n"

// replaceable removes what an earlier call put at path, and refuses to replace anything
// else.
func replaceable(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	var ours bool
	if info.Mode()&fs.ModeSymlink != 0 {
		target, err := os.Readlink(path)
		ours = err == nil && filepath.Base(target) == completedPlugin
	} else {
		text, err := os.ReadFile(path)
		ours = err == nil && string(text) == completerScript
	}
	if !ours {
		return pipeline.UsageErrorf(
			pipeline.CodeUsage,
			"move it away, and run this again",
			"%s exists already and was not made by this plugin",
			path,
		)
	}
	return os.Remove(path)
}

// reason returns the reason in an error about a file, without the path.
func reason(err error) string {
	var file *fs.PathError
	var link *os.LinkError
	switch {
	case errors.As(err, &file):
		return file.Err.Error()
	case errors.As(err, &link):
		return link.Err.Error()
	}
	return err.Error()
}

// install installs the completer and prints its path.
func (e *Env) install(quiet bool) error {
	path, err := installCompleter(runtime.GOOS, exec.LookPath)
	if err != nil {
		return err
	}
	e.SetDocument(&completionDocument{Path: path})
	if !quiet {
		if _, err := fmt.Fprintln(e.Out, path); err != nil {
			return err
		}
	}
	return e.Notef("kubectl's own completion now knows `%s`; where it is not set up, see `kubectl completion --help`", e.Plugin)
}
