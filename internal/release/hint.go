package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
)

const (
	// EnvNoCheck turns the hint off when it is set to anything.
	EnvNoCheck = "SBW_NO_UPDATE_CHECK"

	latestURL = "https://api.github.com/repos/" + Repository + "/releases/latest"
	// every is how often the network is asked at most.
	every = 24 * time.Hour
	// patience is how long one question may take; nobody waits for it.
	patience = 10 * time.Second
)

// HintOptions are what a hint depends on.
type HintOptions struct {
	// Running is this program's version.
	Running string
	// Upgrade is what the user types to have the newer one.
	Upgrade string
	// Terminal says that a person reads stderr. Without one there is no hint.
	Terminal bool
	Getenv   func(string) string
	// URL and Now are for tests: GitHub's and the clock's by default.
	URL string
	Now func() time.Time
}

// Hint is one line about a newer release, or "". It reads what an earlier run
// has learnt and returns at once. When that is a day old it asks GitHub anew
// behind the caller's back, for the next run to read: done is closed when
// that is over. No caller should wait for it: a program that ends earlier
// takes the question with it and the next run asks again.
//
// No credentials go with the question, and no more than the fact that it is
// asked. What goes wrong (no network, no writable directory, a rate limit) is
// not told: it is nobody's concern in the middle of a rollout.
func Hint(ctx context.Context, o HintOptions) (line string, done <-chan struct{}) {
	over := make(chan struct{})
	running, ok := parse(o.Running)
	path := hintPath(o.Getenv)
	if !ok || !o.Terminal || path == "" || o.Getenv(EnvNoCheck) != "" || inCI(o.Getenv) {
		close(over)
		return "", over
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.URL == "" {
		o.URL = latestURL
	}
	known := readHint(path)
	if age := o.Now().Sub(known.Checked); age < every && age >= 0 {
		close(over)
	} else {
		go func() {
			defer close(over)
			refresh(ctx, o, path, known)
		}()
	}
	if latest, ok := parse(known.Latest); ok && running.before(latest) {
		// krew upgrades nothing that came from a manifest: the page says more.
		line = fmt.Sprintf("%s is out, this is %s: `%s`, or see https://github.com/%s/releases/tag/%s (%s=1 turns this line off)",
			known.Latest, o.Running, o.Upgrade, Repository, known.Latest, EnvNoCheck)
	}
	return line, over
}

// inCI knows the variables that GitHub Actions, GitLab and most others (CI),
// Jenkins and TeamCity set: some of them give their jobs a terminal.
func inCI(env func(string) string) bool {
	v := strings.ToLower(env("CI"))
	return v != "" && v != "false" && v != "0" || env("BUILD_NUMBER") != "" || env("TEAMCITY_VERSION") != ""
}

// hintFile is what is kept between runs, shared by both plugins.
type hintFile struct {
	Checked time.Time `json:"checked"`
	Latest  string    `json:"latest,omitempty"`
}

// hintPath is under the state directory of the XDG base directory
// specification, and under the local application data on Windows.
func hintPath(env func(string) string) string {
	dir := env("XDG_STATE_HOME")
	if !filepath.IsAbs(dir) { // the specification: a relative one is ignored
		dir = ""
	}
	if local := env("LOCALAPPDATA"); dir == "" && runtime.GOOS == "windows" {
		dir = local
	}
	if home := env("HOME"); dir == "" && filepath.IsAbs(home) {
		dir = filepath.Join(home, ".local", "state")
	}
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, "sbw", "latest-release.json")
}

// readHint returns what is known; nothing when the file is not there or is
// not whole, which the next question mends.
func readHint(path string) (h hintFile) {
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &h) != nil {
		return hintFile{}
	}
	return h
}

// refresh asks and keeps the answer. A refusal counts as an answer, so that a
// machine without network does not ask at every run; an interrupted question
// does not.
func refresh(ctx context.Context, o HintOptions, path string, known hintFile) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	latest, err := ask(ctx, o)
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	if err == nil {
		known.Latest = latest
	}
	known.Checked = o.Now()
	_ = writeHint(path, known) // the next run asks again
}

func ask(ctx context.Context, o HintOptions) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, o.URL, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	req.Header.Set("User-Agent", "sbw/"+o.Running)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", o.URL, res.Status)
	}
	var answer struct {
		TagName string `json:"tag_name"`
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(&answer); err != nil {
		return "", err
	}
	if _, ok := parse(answer.TagName); !ok {
		return "", fmt.Errorf("%s: %q is no version", o.URL, answer.TagName)
	}
	return answer.TagName, nil
}

// writeHint replaces the file whole: several runs may do so at once.
func writeHint(path string, h hintFile) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".latest-release-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return errors.Join(err, removeIfThere(f.Name()))
	}
	return nil
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// number is a release's version: v1.2.3. Pre-releases and what is built
// between releases have no number and get no hint: whoever runs them knows.
type number [3]uint64

var releaseVersion = lazyregexp.New(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$`)

func parse(version string) (n number, ok bool) {
	m := releaseVersion.FindStringSubmatch(version)
	if m == nil {
		return n, false
	}
	for i := range n {
		var err error
		if n[i], err = strconv.ParseUint(m[i+1], 10, 64); err != nil {
			return n, false
		}
	}
	return n, true
}

func (n number) before(other number) bool {
	for i := range n {
		if n[i] != other[i] {
			return n[i] < other[i]
		}
	}
	return false
}
