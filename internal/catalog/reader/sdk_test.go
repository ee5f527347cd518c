package reader

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/catalog"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// These are the versions with which the corpus is registered.
const (
	bunVersion = "1.3.9"
	sdk3       = "3.54.2"
	sdk4       = "4.24.0"
)

// corpus lists the workers in testdata/corpus. The reader must find what each
// index module registers with the real SDK.
var corpus = []struct {
	dir, index, sdk string
	listed          int // the number of functions of the index
	// open lists the places of what cannot be determined, in their order.
	open string
}{
	{"v3-literals", "index.ts", sdk3, 13, "index.ts:62"},
	{"v3-options", "index.ts", sdk3, 23, "index.ts:39 index.ts:40 index.ts:47 index.ts:54 index.ts:55 index.ts:56 index.ts:58 index.ts:59"},
	{"v3-arrays", "index.ts", sdk3, 24, "index.ts:10 index.ts:11 index.ts:42 index.ts:48 index.ts:70 registered-a.ts:5 registered-b.ts:5 registered-b.ts:6"},
	{"v3-modules", "src/index.ts", sdk3, 17, ""},
	{"v3-factories", "index.ts", sdk3, 17, "classes.ts:18 classes.ts:31 classes.ts:38 client.ts:16 index.ts:35 index.ts:49 index.ts:58 index.ts:63 index.ts:83 index.ts:86 index.ts:88 index.ts:93 index.ts:103"},
	{"v3-served", "worker.ts", sdk3, 2, ""},
	{"v4-triggers", "index.ts", sdk4, 14, "index.ts:29"},
}

// TestAgainstSDK runs each worker of the corpus with Bun and the real SDK, and
// compares its registration with the catalog, function by function.
func TestAgainstSDK(t *testing.T) {
	bun := bunPath(t)
	for _, c := range corpus {
		t.Run(c.dir, func(t *testing.T) {
			modules := npmInstall(t, "inngest@"+c.sdk)
			dir := install(t, filepath.Join("testdata", "corpus", c.dir), modules)
			want, app, err := registrationOf(t, bun, dir)
			if err != nil {
				t.Fatal(err)
			}

			// It runs once with everything installed, and once with only the
			// checkout.
			for name, root := range map[string]string{"installed": dir, "bare": filepath.Join("testdata", "corpus", c.dir)} {
				cat, err := Read(t.Context(), Options{Root: root, Indexes: []string{c.index}})
				if err != nil {
					t.Fatal(err)
				}
				var open []string
				for _, u := range cat.Unresolved {
					if place := fmt.Sprintf("%s:%d", u.File, u.Line); !slices.Contains(open, place) {
						open = append(open, place)
					}
				}
				if got := strings.Join(open, " "); got != c.open {
					t.Errorf("%s: not determined at\n%s\nwant\n%s\n%s", name, got, c.open, unresolvedOf(cat))
				}
				if len(cat.Indexes) != 1 {
					t.Fatalf("%s: %d indexes", name, len(cat.Indexes))
				}
				index := cat.Indexes[0]
				if n := len(index.Functions); n != c.listed {
					t.Errorf("%s: %d functions, want %d", name, n, c.listed)
				}
				if d := compared(want, index, app); d != "" {
					t.Errorf("%s: the SDK registers something else (- SDK, + catalog):\n%s", name, d)
				}
			}
		})
	}
}

// compared returns the difference between what the SDK registers and what an
// index lists. Everything that is missing must be reported: the index is
// incomplete, or the field is undecided.
func compared(want []registration, index catalog.Index, app string) string {
	got := expand(index.Functions, app)
	if index.Incomplete {
		want = slices.DeleteFunc(slices.Clone(want), func(w registration) bool {
			return !slices.ContainsFunc(got, func(g registration) bool { return g.ID == w.ID })
		})
	}
	for _, f := range index.Functions {
		for i := range want {
			if want[i].ID != f.Slugs(app)[0] {
				continue
			}
			for _, g := range got {
				if g.ID != want[i].ID {
					continue
				}
				if slices.Contains(f.Undecided, "name") {
					want[i].Name = g.Name
				}
				if slices.Contains(f.Undecided, "retries") {
					want[i].Retries = g.Retries
				}
				if slices.Contains(f.Undecided, "triggers") {
					want[i].Triggers = g.Triggers
				}
				if slices.Contains(f.Undecided, "concurrency") {
					want[i].Concurrency = g.Concurrency
				}
			}
		}
	}
	return cmp.Diff(want, got)
}

// registration is one function in the form in which it is registered.
type registration struct {
	ID, Name    string
	Retries     *int
	Triggers    []catalog.Trigger
	Concurrency []catalog.Concurrency
}

// expand returns the registrations of the functions of an index, sorted by id.
func expand(fs []catalog.Function, app string) []registration {
	all := []registration{}
	for _, f := range fs {
		r := registration{ID: f.Slugs(app)[0], Name: f.Name, Triggers: f.Triggers, Concurrency: f.Concurrency}
		if r.Name == "" {
			r.Name = f.ID
		}
		if f.Retries.Explicit {
			r.Retries = &f.Retries.Value
		}
		all = append(all, r)
		if f.OnFailure {
			one := 1
			all = append(all, registration{ID: r.ID + "-failure", Name: r.Name + " (failure)", Retries: &one, Triggers: []catalog.Trigger{{
				Event: "inngest/function.failed", Expression: fmt.Sprintf("event.data.function_id == '%s'", r.ID),
			}}})
		}
	}
	sortByID(all)
	return all
}

func sortByID(all []registration) {
	slices.SortStableFunc(all, func(a, b registration) int { return strings.Compare(a.ID, b.ID) })
}

// registrationOf starts a worker and returns the functions that it sends to
// /fn/register, sorted by id, and the name of its app. The error means that it
// did not register.
func registrationOf(t *testing.T, bun, dir string) (all []registration, app string, err error) {
	t.Helper()
	bodies := make(chan []byte, 8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != "/fn/register" {
			w.WriteHeader(http.StatusOK) // the SDK checks whether there is a dev server
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		bodies <- body
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"ok":true,"modified":true,"message":"Successfully registered"}`)
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bun, "run", filepath.Join(dir, "register.ts"), filepath.Join(dir, "worker.ts"))
	cmd.Dir = dir
	cmd.Env = append(require.Environ(), "INNGEST_DEV="+server.URL, "NODE_ENV=development",
		"HTTP_PROXY=", "http_proxy=", "HTTPS_PROXY=", "https_proxy=", "ALL_PROXY=", "all_proxy=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, "", fmt.Errorf("the worker did not register: %w\n%s", err, out)
	}
	var body struct {
		AppName   string `json:"appName"`
		Functions []struct {
			ID, Name string
			Triggers []catalog.Trigger
			Steps    map[string]struct{ Retries *struct{ Attempts *int } }
			// It is a number, an object or a list of objects.
			Concurrency json.RawMessage
		}
	}
	select {
	case b := <-bodies:
		if err := json.Unmarshal(b, &body); err != nil {
			return nil, "", fmt.Errorf("the server could not read it either: %w", err)
		}
	default:
		return nil, "", errors.New("the worker registered nothing")
	}
	all = []registration{}
	for _, f := range body.Functions {
		r := registration{ID: f.ID, Name: f.Name}
		if r.Concurrency, err = concurrencyOf(f.Concurrency); err != nil {
			return nil, "", fmt.Errorf("the server could not read it either: %w", err)
		}
		if len(f.Triggers) > 0 {
			r.Triggers = f.Triggers
		}
		if retries := f.Steps["step"].Retries; retries != nil {
			r.Retries = new(int)
			if retries.Attempts != nil { // the server reads null as 0
				*r.Retries = *retries.Attempts
			}
		}
		all = append(all, r)
	}
	sortByID(all)
	return all, body.AppName, nil
}

// bunPath installs Bun, whose binary is in a separate package.
func bunPath(t *testing.T) string {
	t.Helper()
	arch := map[string]string{"amd64": "x64", "arm64": "aarch64"}[runtime.GOARCH]
	return filepath.Join(npmInstall(t, "bun@"+bunVersion), "@oven", "bun-linux-"+arch, "bin", "bun")
}

func concurrencyOf(raw json.RawMessage) ([]catalog.Concurrency, error) {
	if raw == nil {
		return nil, nil
	}
	var n int
	if json.Unmarshal(raw, &n) == nil {
		return []catalog.Concurrency{{Limit: n}}, nil
	}
	var one catalog.Concurrency
	if json.Unmarshal(raw, &one) == nil {
		return []catalog.Concurrency{one}, nil
	}
	var many []catalog.Concurrency
	err := json.Unmarshal(raw, &many)
	return many, err
}

// install copies a worker and links its dependencies into node_modules.
func install(t *testing.T, from, modules string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	harness, err := os.ReadFile(filepath.Join("testdata", "corpus", "register.ts"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "register.ts"), harness, 0o600); err != nil {
		t.Fatal(err)
	}
	link := func(to, name string) {
		t.Helper()
		at := filepath.Join(dir, "node_modules", name)
		if err := os.MkdirAll(filepath.Dir(at), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(to, at); err != nil {
			t.Fatal(err)
		}
	}
	link(filepath.Join(modules, "inngest"), "inngest")
	packages, err := filepath.Glob(filepath.Join(dir, "packages", "*", "package.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packages {
		var manifest struct{ Name string }
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(b, &manifest); err != nil {
			t.Fatal(err)
		}
		link(filepath.Dir(p), manifest.Name)
	}
	return dir
}

// npmInstall installs a package in the sandbox once, and returns its
// node_modules directory.
func npmInstall(t *testing.T, spec string) string {
	t.Helper()
	dir := filepath.Join(require.Dir(t), "npm", "catalog-"+strings.NewReplacer("@", "-").Replace(spec))
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return modules
	}
	// It is installed elsewhere and moved, so that the directory is always
	// complete.
	npm := require.Tool(t, "npm")
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	aside, err := os.MkdirTemp(filepath.Dir(dir), ".installing-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(aside)
	if err := os.WriteFile(filepath.Join(aside, "package.json"), []byte(`{"private":true}`), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", spec)
	cmd.Dir = aside
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm install %s: %v\n%s", spec, err, out)
	}
	if err := os.Rename(aside, dir); err != nil && !errors.Is(err, fs.ErrExist) && !isNotEmpty(dir) {
		t.Fatal(err)
	}
	return modules
}

func isNotEmpty(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err == nil && len(entries) > 0
}
