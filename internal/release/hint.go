package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"

	"github.com/joelhooks/gh-sbw/internal/statefile"
)

const (
	// EnvNoCheck turns the hint off when it is set to anything.
	EnvNoCheck = "SBW_NO_UPDATE_CHECK"

	latestURL = "https://api.github.com/repos/" + Repository + "/releases/latest"
	// every is the shortest time between two requests.
	every = 24 * time.Hour
	// patience is how long one request may take. It runs in the background.
	patience = 10 * time.Second
)

// HintOptions configure Hint.
type HintOptions struct {
	// Running is this program's version.
	Running string
	// Upgrade is the command that installs the newer version.
	Upgrade string
	// Terminal is true if a person reads stderr. Otherwise there is no hint.
	Terminal bool
	Getenv   func(string) string
	// URL and Now are for tests. The defaults are GitHub's URL and the real time.
	URL string
	Now func() time.Time
}

// Hint returns one line about a newer release, or "". It reads what an earlier run
// has stored and returns immediately. If that is more than a day old, it asks
// GitHub in the background and stores the answer for the next run. done is closed
// when the request is over. Callers need not wait for it: if the program ends
// earlier, the next run asks again.
//
// The request carries no credentials and no data. Errors (no network, no writable
// directory, a rate limit) are not reported, because they do not matter in the
// middle of a rollout.
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
		// krew cannot upgrade a plugin that was installed from a manifest, so the page
		// is named as well.
		line = fmt.Sprintf("%s is out, this is %s: `%s`, or see https://github.com/%s/releases/tag/%s (%s=1 turns this line off)",
			known.Latest, o.Running, o.Upgrade, Repository, known.Latest, EnvNoCheck)
	}
	return line, over
}

// inCI reports whether the program runs in a CI job, by the variables that GitHub
// Actions, GitLab and most others (CI), Jenkins and TeamCity set. Some of them
// give their jobs a terminal.
func inCI(env func(string) string) bool {
	v := strings.ToLower(env("CI"))
	return v != "" && v != "false" && v != "0" || env("BUILD_NUMBER") != "" || env("TEAMCITY_VERSION") != ""
}

// hintFile is the content of the file that both plugins keep between runs.
type hintFile struct {
	Checked time.Time `json:"checked"`
	Latest  string    `json:"latest,omitempty"`
}

// hintPath returns the path of that file in the state directory.
func hintPath(env func(string) string) string {
	dir, err := statefile.StateDir(env)
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "latest-release.json")
}

// readHint returns the content of the file. It is empty if the file does not
// exist or is damaged; the next request replaces it.
func readHint(path string) (h hintFile) {
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &h) != nil {
		return hintFile{}
	}
	return h
}

// refresh asks GitHub and stores the answer. A failure counts as an answer, so that
// a machine without a network does not ask in every run. An interrupted request
// does not count.
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
		return "", fmt.Errorf("%s: %q is not a version", o.URL, answer.TagName)
	}
	return answer.TagName, nil
}

// writeHint replaces the file atomically, because several runs may write it at the
// same time.
func writeHint(path string, h hintFile) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	return statefile.Write(path, text, 0o600)
}

// number is the version of a release: v1.2.3. Pre-releases and builds between
// releases have no number and get no hint.
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
