package identity

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
	"unicode"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const (
	// commandTimeout is long because a credential command may wait for a fingerprint
	// or a passphrase.
	commandTimeout = 2 * time.Minute
	// maxToken limits the length of a token; GitHub's have 40 to 255
	// characters, a JWT a few thousand.
	maxToken = 8 << 10
)

// runCommand runs the credential command and returns its stdout as the token.
// Errors contain neither its output, which is the token, nor its arguments, which
// may contain it.
func runCommand(ctx context.Context, o Options) (Token, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTimeout, errTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, o.Command[0], o.Command[1:]...)
	cmd.Dir = o.Dir
	cmd.Env = CleanEnv(o.Environ())
	cmd.WaitDelay = 500 * time.Millisecond
	stdout, stderr := &bounded{max: maxToken}, &bounded{max: 4 << 10}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	if cause := context.Cause(ctx); cause != nil {
		if !errors.Is(cause, errTimeout) {
			return Token{}, cause
		}
		err = cause
	}
	if err != nil {
		return Token{}, commandFinding(o.Command, failure(err, stderr.String(), stdout.String(), stderr.cut))
	}
	token := strings.TrimSpace(stdout.String())
	switch {
	case token == "":
		return Token{}, commandFinding(o.Command, "it printed nothing")
	case stdout.cut:
		return Token{}, commandFinding(o.Command, "it printed more than a token")
	case strings.ContainsFunc(token, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) || r > unicode.MaxASCII }):
		return Token{}, commandFinding(o.Command, "it printed something that is not a token; its stdout must contain only the token")
	}
	return NewToken(token), nil
}

var errTimeout = errors.New("it did not end within " + commandTimeout.String())

func failure(err error, stderr, stdout string, cut bool) string {
	why := err.Error()
	if errors.Is(err, exec.ErrNotFound) {
		return "there is no such program on PATH"
	}
	lines := strings.FieldsFunc(stderr, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) == 0 {
		return why
	}
	if cut && len(lines) > 1 {
		lines = lines[:len(lines)-1] // the last line is cut off and may be a part of the token
	} else if cut {
		return why
	}
	last := strings.TrimSpace(lines[len(lines)-1])
	// A command that fails late may have written the token to both stdout and
	// stderr.
	for secret := range strings.FieldsSeq(stdout) {
		if len(secret) > 3 {
			last = strings.ReplaceAll(last, secret, hidden)
		}
	}
	return why + ": " + last
}

func commandFinding(argv []string, why string) error {
	return &pipeline.Finding{
		Code: CodeCredentialCommand, Severity: pipeline.Error,
		What: "the credential command `" + commandName(argv) + "` did not return a token",
		Why:  why,
		Fix:  "run it by hand, or correct credentials.command in .sbw.yaml",
	}
}

// commandName returns only the name of the program, because arguments may contain
// secrets.
func commandName(argv []string) string { return filepath.Base(argv[0]) }

// bounded is a writer that keeps the first max bytes. It must not have a
// ReadFrom, which would bypass the limit.
type bounded struct {
	buf bytes.Buffer
	max int
	cut bool
}

func (b *bounded) Write(p []byte) (int, error) {
	n := len(p)
	if room := b.max - b.buf.Len(); n > room {
		b.cut, p = true, p[:room]
	}
	b.buf.Write(p)
	return n, nil
}

func (b *bounded) String() string { return b.buf.String() }
