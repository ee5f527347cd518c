package receipt

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// Hook is a command that receives receipts: hooks.receipt gets those of rollouts,
// including failed ones, and hooks.publish those of published images, which are
// not deployed yet.
//
//	hooks:
//	  receipt: [slog, write, --action, deploy, --tool, "{worker}",
//	            --detail, "{command} of {image}: {end}", --reason, "sync worker changes"]
//
// The command gets the receipt as JSON on stdin. Its arguments may contain the
// words of Placeholders in braces. It is run without a shell.
type Hook struct {
	Key  string // its key in the configuration, for messages
	Argv []string
	Dir  string // its working directory: the repository's root
	// Timeout limits how long the command may run; 0 means 30 s.
	Timeout time.Duration
	// Env is the environment to filter; os.Environ() if nil. Variables whose
	// names look secret are removed.
	Env []string
}

const (
	hookTimeout = 30 * time.Second
	// afterKill is how long to wait for a grandchild that keeps the output open.
	afterKill = 2 * time.Second
	hookWords = 4096 // bytes of its output that are kept for the warning
)

// Placeholders returns the words that a hook's arguments may contain in braces,
// with their values.
func (r *Receipt) Placeholders() map[string]string {
	m := map[string]string{
		"command": r.Command, "worker": r.Worker, "image": r.Image.String(), "tag": r.Image.Tag, "digest": r.Image.Digest,
		"commit": r.Commit, "by": r.By.String(), "end": r.End, "exitCode": strconv.Itoa(r.Code),
		"seconds": strconv.FormatFloat(r.Seconds, 'f', -1, 64), "previous": r.Previous, "namespace": "", "name": "",
	}
	if t := r.Target; t != nil {
		m["namespace"], m["name"] = t.Namespace, t.Name
	}
	return m
}

var placeholder = lazyregexp.New(`\{([A-Za-z]+)\}`)

// Run runs the hook, or does nothing if there is no command. An error is a
// warning with the code "receipt-hook", because the image has already been
// shipped.
func (h Hook) Run(ctx context.Context, r *Receipt) error {
	if len(h.Argv) == 0 {
		return nil
	}
	data, err := json.Marshal(r)
	if err != nil {
		return h.failed(err, "")
	}
	timeout := h.Timeout
	if timeout == 0 {
		timeout = hookTimeout
	}
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it did not end within %s", timeout))
	defer cancel()
	words := r.Placeholders()
	argv := slices.Clone(h.Argv)
	for i, a := range argv[1:] {
		argv[i+1] = placeholder.ReplaceAllStringFunc(a, func(p string) string {
			if v, ok := words[p[1:len(p)-1]]; ok {
				return v
			}
			return p
		})
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.WaitDelay = h.Dir, afterKill
	if cmd.Env = h.Env; cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = slices.DeleteFunc(slices.Clone(cmd.Env), secret)
	cmd.Stdin = bytes.NewReader(append(data, '\n'))
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	err = cmd.Run()
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return h.failed(err, string(said.bytes))
	}
	return nil
}

// secretName matches the names of variables that contain credentials, including
// the tokens of both plugins (GH_TOKEN, GITHUB_TOKEN, GHCR_TOKEN,
// INNGEST_SIGNING_KEY, INNGEST_EVENT_KEY).
var secretName = lazyregexp.New(
	`(?i)(TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIALS?|API_?KEY|ACCESS_KEY|PRIVATE_KEY|SIGNING_KEY|EVENT_KEY|_PAT)(_|$)`,
)

func secret(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	return secretName.MatchString(name)
}

func (h Hook) failed(err error, said string) error {
	f := &pipeline.Finding{
		Code: CodeReceiptHook, Severity: pipeline.Warning, Where: h.Key,
		What: fmt.Sprintf("the receipt hook %s failed", termtext.Line(h.Argv[0])), Why: termtext.Line(err.Error()), Err: err,
		Fix: "run it by hand with the receipt on stdin; what was shipped is not affected",
	}
	if errors.Is(err, exec.ErrNotFound) {
		f.Why, f.Fix = "it is not installed", "install it, or change "+h.Key+" in .sbw.yaml; what was shipped is not affected"
	}
	for line := range strings.Lines(said) {
		if line = strings.TrimSpace(termtext.Text(line)); line != "" {
			f.Evidence = append(f.Evidence, line)
		}
	}
	f.Evidence = f.Evidence[max(0, len(f.Evidence)-10):]
	return f
}

// tail is a writer that keeps only the end of what is written to it.
type tail struct{ bytes []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.bytes = append(t.bytes, p...)
	t.bytes = t.bytes[max(0, len(t.bytes)-hookWords):]
	return len(p), nil
}
