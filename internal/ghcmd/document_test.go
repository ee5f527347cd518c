package ghcmd

import (
	"context"
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	ocilayout "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cli/clitest"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const twoFunctions = `import { inngest } from "../client";
export const a = inngest.createFunction({ id: "a", retries: 2 }, { event: "x/a" }, async () => {});
export const b = inngest.createFunction({ id: "b", retries: 0 }, { cron: "0 * * * *" }, async () => {});
export const functions = [a, b];
`

// TestEveryOutputIsOneDocument runs every command to each of its ends with -o json and
// yaml: stdout is one document that is valid according to the command's schema.
func TestEveryOutputIsOneDocument(t *testing.T) {
	srv := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	repo, err := name.NewRepository(host + "/o/w")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repo.Tag("v0"), arm64(t, 1000)); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		argv  string
		code  pipeline.End
		has   string // a field that must be there besides the head
		code0 string // the code of a finding
	}{
		{argv: "publish v1 --layout oci --dry-run", has: "plan"},
		{argv: "publish v1 --layout oci", has: "pushed"},
		{argv: "publish v1 --layout nowhere", code: pipeline.Usage, code0: "layout-missing"},
		{argv: "publish v0 --layout oci", code: pipeline.RefusedByPreflight, code0: "tag-exists"},
		{argv: "publish a b", code: pipeline.Usage, code0: "usage"},
		{argv: "publish --nope", code: pipeline.Usage, code0: "usage"},
		{argv: "publish --image w", code: pipeline.Usage, code0: "image-name"},
		{argv: "doctor v1 --layout oci", has: "reference"},
		{argv: "doctor --platform linux/riscv", code: pipeline.Usage, code0: "usage"},
		{argv: "tags", has: "tags"},
		{argv: "tags --image " + host + "/no/such", has: "tags", code0: "image-not-found"},
		{argv: "tags --limit -1", code: pipeline.Usage, has: "tags", code0: "usage"},
		{argv: "functions", code: pipeline.RefusedByPreflight, has: "indexes", code0: "catalog-zero-retries"},
		{argv: "functions --diff v0", code: pipeline.Unchanged, has: "indexes", code0: "catalog-absent"},
		{argv: "functions --worker other", code: pipeline.Unchanged, has: "indexes", code0: "catalog-empty"},
		{argv: "explain", has: "entries"},
		{argv: "explain exec format error", has: "entries"},
		{argv: "explain no-such-thing-at-all", code: pipeline.Usage, has: "entries", code0: "code-unknown"},
	} {
		for _, format := range []string{"json", "yaml"} {
			t.Run(tc.argv+" -o "+format, func(t *testing.T) {
				env, out, errs := testEnv(t, "workers: {w: {image: "+repo.Name()+", catalog: {indexes: [index.ts]}}, system-bus-worker: {image: "+repo.Name()+", catalog: {indexes: [index.ts]}}, other: {catalog: {indexes: []}}}")
				t.Setenv("XDG_CACHE_HOME", filepath.Join(env.Dir, ".cache"))
				t.Setenv("XDG_STATE_HOME", filepath.Join(env.Dir, ".state"))
				if err := os.WriteFile(filepath.Join(env.Dir, "index.ts"), []byte(twoFunctions), 0o600); err != nil {
					t.Fatal(err)
				}
				p, err := ocilayout.Write(filepath.Join(env.Dir, "oci"), empty.Index)
				if err == nil {
					err = p.AppendImage(arm64(t, 2000))
				}
				if err != nil {
					t.Fatal(err)
				}
				argv := append(strings.Fields(tc.argv), "-o", format)
				if code := cli.Execute(t.Context(), env, NewRoot(env), argv); code != int(tc.code) {
					t.Fatalf("exit code %d, want %d\n%s%s", code, tc.code, out, errs)
				}
				doc := clitest.Document(t, NewRoot, "gh sbw "+argv[0], format, out.Bytes())
				if got := doc["exitCode"].(json.Number).String(); got != strconv.Itoa(int(tc.code)) {
					t.Errorf("exitCode %v", got)
				}
				if end := doc["end"]; end != tc.code.Word() {
					t.Errorf("end %q", end)
				}
				if (doc["error"] != "") != (tc.code != pipeline.Done) {
					t.Errorf("error %q with exit code %d", doc["error"], tc.code)
				}
				if _, ok := doc[tc.has]; tc.has != "" && !ok {
					t.Errorf("%s is missing\n%s", tc.has, out)
				}
				found := slices.ContainsFunc(doc["findings"].([]any), func(f any) bool { return f.(map[string]any)["code"] == tc.code0 })
				if tc.code0 != "" && !found {
					t.Errorf("no finding %s\n%s", tc.code0, out)
				}
			})
		}
	}
}

// TestAnInterruptIsOneDocument: a program that sends SIGINT still gets its
// document.
func TestAnInterruptIsOneDocument(t *testing.T) {
	env, out, errs := testEnv(t, "")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(pipeline.ErrInterrupted)
	if code := cli.Execute(ctx, env, NewRoot(env), []string{"publish", "-o", "json"}); code != int(pipeline.Interrupted) {
		t.Fatalf("exit code %d\n%s", code, errs)
	}
	doc := clitest.Document(t, NewRoot, "gh sbw publish", "json", out.Bytes())
	if doc["end"] != "unchanged" || doc["error"] == "" {
		t.Errorf("end %v, error %v", doc["end"], doc["error"])
	}
}
