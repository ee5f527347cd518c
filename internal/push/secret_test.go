package push

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/joelhooks/gh-sbw/internal/identity"
	"github.com/joelhooks/gh-sbw/internal/imageref"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/sandbox/ghcr"
	"github.com/joelhooks/gh-sbw/internal/sandbox/githubapi"
	"github.com/joelhooks/gh-sbw/internal/sandbox/leak"
)

// childEnv makes the test binary run as the process under test. Its value is
// LAYOUT DIGEST COMMAND.
const childEnv = "SBW_TEST_PUSH"

// local is the name that GitHub uses for the registry of a GitHub instance on
// this machine. It is reached through HTTP_PROXY.
const local = "containers.github.localhost"

func TestMain(m *testing.M) {
	if job := os.Getenv(childEnv); job != "" {
		if err := child(context.Background(), strings.Fields(job)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child finds an identity, starts a stand-in for a builder, and pushes,
// printing everything it does.
func child(ctx context.Context, job []string) error {
	repo, err := imageref.ParseRepository(local + "/" + testUser + "/worker")
	if err != nil {
		return err
	}
	id, err := identity.Find(ctx, identity.Options{Registry: local, Command: job[2:]})
	if err != nil {
		return err
	}
	rep := pipeline.NewReporter("push", pipeline.SinkFunc(func(e pipeline.Event) { fmt.Printf("%+v %+v\n", e, e.Progress) }))
	fmt.Printf("%v %+v\n", id.Source, id.Check(ctx))
	builder := exec.Command("env")
	builder.Env = id.CleanEnv(os.Environ())
	builder.Stdout = os.Stdout
	if err := builder.Run(); err != nil {
		return err
	}
	p := New(Options{Repository: repo, Auth: id.Authenticator(), Credential: id.Source, ScopeRemedy: id.ScopeRemedy()})
	tags := []string{"v1", Latest}
	found, err := p.Preflight(ctx, tags, is(job[1]), false)
	if err != nil || len(found) > 0 {
		return errors.Join(append([]error{err}, asErrors(found)...)...)
	}
	res, err := p.Push(ctx, Job{Layout: job[0], Digest: job[1], Tags: tags}, rep)
	fmt.Printf("%+v\n", res)
	return err
}

func asErrors(found []*pipeline.Finding) (errs []error) {
	for _, f := range found {
		errs = append(errs, f)
	}
	return errs
}

// TestTokenStaysInMemory traces a push with all its child processes. The token
// and the bearers must not appear in any argument, file or output, nor in any
// environment except that of the push itself, whether the push succeeds or the
// registry and GitHub refuse.
func TestTokenStaysInMemory(t *testing.T) {
	dir := tempLayout(t)
	digest := makeImage(t, dir, layers(1, 3000, 2000)...)
	command := filepath.Join(t.TempDir(), "secrets")
	script := "#!/bin/sh\na=" + testToken[:10] + "\nb=" + testToken[10:] + "\necho $a$b\n"
	if err := os.WriteFile(command, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		env   []string
		job   string
		fault ghcr.Fault
		fails bool
	}{
		{name: "GHCR_TOKEN", env: []string{"GHCR_TOKEN=" + testToken, "GHCR_HOST=" + local, "MY_COPY=" + testToken}},
		{name: "GH_TOKEN", env: []string{"GH_TOKEN=" + testToken, "GH_DEBUG=api"}},
		{name: "a command", job: command},
		{name: "a refusal that repeats the token", env: []string{"GH_TOKEN=" + testToken}, fails: true, fault: ghcr.Fault{
			On: ghcr.UploadFinish, Times: -1, Do: ghcr.Answer(400, "X", "you sent "+testToken),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t)
			h.front.Inject(c.fault)
			account := githubapi.Account{Login: testUser, Scopes: []string{"write:packages"}}
			gh := githubapi.New(map[string]githubapi.Account{testToken: account})
			proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.Host {
				case "api.github.localhost":
					gh.ServeHTTP(w, r)
				case local:
					h.front.ServeHTTP(w, r)
				default:
					t.Errorf("asked for %s", r.Host)
				}
			}))
			defer proxy.Close()
			home := t.TempDir()
			cmd := exec.Command(os.Args[0])
			cmd.Dir = home
			cmd.Env = append([]string{
				"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + home, "HTTP_PROXY=" + proxy.URL,
				childEnv + "=" + dir + " " + digest + " " + c.job,
			}, c.env...)
			out, err := leak.Run(t, cmd, leak.Options{
				Secrets: []string{testToken}, User: testUser, InOwnEnv: true, Dirs: []string{home, dir}, More: h.front.Bearers,
			})
			if (err != nil) != c.fails {
				t.Fatalf("%v: %s", err, out)
			}
			if len(h.front.Bearers()) == 0 || len(gh.Asked()) == 0 {
				t.Error("the push went past the registry or GitHub")
			}
		})
	}
}
