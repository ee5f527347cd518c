// Package leak traces a command and all of its children and finds where a
// secret went: into an argument list, an environment, a file or an output.
// Only sockets and pipes between processes may carry one.
package leak

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// Options describe what to look for.
type Options struct {
	// Secrets are searched for in plain text and in all forms that Forms
	// returns.
	Secrets []string
	// User adds the Basic credential user:secret to the forms.
	User string
	// InOwnEnv allows the secrets in the environment of the traced command
	// itself, but not in those of its children.
	InOwnEnv bool
	// Extension is a program that gets the command's own environment, as gh
	// passes it to an extension. It may also have the secrets in its
	// environment.
	Extension string
	// Dirs are searched afterwards, in addition to the outputs.
	Dirs []string
	// Except lists files that may contain a secret, such as its source.
	Except []string
	// More returns secrets that appeared while the command ran, such as bearer
	// tokens.
	More func() []string
}

// Forms returns the forms in which a secret may be written.
func Forms(secret, user string) []string {
	forms := []string{
		secret,
		base64.StdEncoding.EncodeToString([]byte(secret)),
		base64.URLEncoding.EncodeToString([]byte(secret)),
	}
	if user != "" {
		forms = append(forms, base64.StdEncoding.EncodeToString([]byte(user+":"+secret)))
	}
	return forms
}

// Run traces cmd until it ends and reports each place where it found a secret.
// It returns the command's output and error.
func Run(t testing.TB, cmd *exec.Cmd, o Options) (output string, err error) {
	t.Helper()
	strace := require.Tool(t, "strace")
	dir := t.TempDir()
	trace, out := filepath.Join(dir, "trace"), filepath.Join(dir, "output")
	f, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd.Args = append([]string{strace, "-f", "--seccomp-bpf", "-qq", "-v", "-y", "-s", "1048576", "-o", trace,
		"-e", "trace=execve,write,pwrite64,writev,pwritev,sendto,sendmsg", "--", cmd.Path}, cmd.Args[1:]...)
	cmd.Path = strace
	cmd.Stdout, cmd.Stderr = f, f
	err = cmd.Run()
	var forms []string
	secrets := o.Secrets
	if o.More != nil {
		secrets = append(secrets[:len(secrets):len(secrets)], o.More()...)
	}
	for _, s := range secrets {
		forms = append(forms, Forms(s, o.User)...)
	}
	for _, found := range traced(t, trace, forms, o) {
		t.Error(found)
	}
	for _, found := range written(t, append(o.Dirs[:len(o.Dirs):len(o.Dirs)], out), o.Except, forms) {
		t.Error(found)
	}
	text, rerr := os.ReadFile(out)
	if rerr != nil {
		t.Fatal(rerr)
	}
	return string(text), err
}

// call matches a line of strace -f -y: 123 write(7<socket:[42]>, "…
var call = regexp.MustCompile(`^(\d+) +(\w+)\((?:(\d+)<([^>]*)>)?`)

func traced(t testing.TB, path string, forms []string, o Options) (leaks []string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines, started, programs := bufio.NewReader(f), false, 0
	for {
		line, err := lines.ReadString('\n')
		if line == "" && err != nil {
			break
		}
		m := call.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		pid, name, fd := m[1], m[2], m[4]
		if name == "execve" {
			programs++
			own := !started || o.Extension != "" && program(line) == o.Extension
			started = true
			if own && o.InOwnEnv {
				line, _, _ = strings.Cut(line, "], [") // argv without the environment
			}
			if holds(line, forms) {
				leaks = append(leaks, fmt.Sprintf("process %s was started with a secret: %s", pid, program(line)))
			}
			continue
		}
		if strings.HasPrefix(fd, "socket:") || strings.HasPrefix(fd, "TCP") || strings.HasPrefix(fd, "UNIX") || strings.HasPrefix(fd, "pipe:") {
			continue
		}
		if holds(line, forms) {
			leaks = append(leaks, fmt.Sprintf("process %s wrote a secret by %s to %s", pid, name, fd))
		}
	}
	if programs == 0 {
		t.Fatal("nothing was traced")
	}
	return leaks
}

func program(line string) string {
	_, rest, _ := strings.Cut(line, `"`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

func written(t testing.TB, paths, except, forms []string) (leaks []string) {
	t.Helper()
	for _, root := range paths {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // it belongs to a daemon that is still running
			}
			if err != nil || !d.Type().IsRegular() || slices.Contains(except, path) {
				return err
			}
			text, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err != nil {
				return err
			}
			if holds(string(bytes.ToValidUTF8(text, nil)), forms) {
				leaks = append(leaks, "a secret is in the file "+path)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return leaks
}

func holds(text string, forms []string) bool {
	for _, form := range forms {
		if form != "" && strings.Contains(text, form) {
			return true
		}
	}
	return false
}
