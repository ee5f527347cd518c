//go:build linux

package sandbox

import (
	"bytes"
	"context"
	"embed"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/template"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"golang.org/x/sync/errgroup"

	"github.com/joelhooks/gh-sbw/internal/sandbox/cluster"
	"github.com/joelhooks/gh-sbw/internal/sandbox/daemon"
	"github.com/joelhooks/gh-sbw/internal/sandbox/images"
	"github.com/joelhooks/gh-sbw/internal/sandbox/tools"
	"github.com/joelhooks/gh-sbw/internal/sandbox/worker"
)

//go:embed objects
var objects embed.FS

// Up installs, builds and starts whatever is missing, and returns when all of it
// answers.
func (s *Sandbox) Up(ctx context.Context) error {
	if err := check(); err != nil {
		return err
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.install(ctx, false); err != nil {
		return err
	}
	return s.start(ctx)
}

// install installs everything; all includes what only the tests need.
func (s *Sandbox) install(ctx context.Context, all bool) error {
	packages := slices.Clone(tools.Up)
	if proxyMode() == "nftables" {
		packages = append(packages, "nftables")
	}
	if all {
		packages = append(packages, tools.Test...)
	}
	if err := tools.Debian(ctx, s.say, packages); err != nil {
		return err
	}
	// The parts of the worker wait for the network while the compilers use the
	// processor.
	work, inner := errgroup.WithContext(ctx)
	work.Go(func() error {
		if _, err := worker.BaseImage(inner, s.Dir, sayWriter{s.say}); err != nil {
			return err
		}
		_, err := worker.Modules(inner, s.Dir)
		return err
	})
	work.Go(func() error { return s.compile(inner, all) })
	return work.Wait()
}

// compile compiles everything with huge pages. They are switched off again before
// the cluster runs, because its pods would reach their memory limits with them.
func (s *Sandbox) compile(ctx context.Context, all bool) (err error) {
	restore, err := tools.HugePages(s.Dir, s.say)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, restore()) }()
	b := tools.Builder{Root: s.Root, Cache: s.Dir, Say: s.say}
	if err := b.Build(ctx, all); err != nil {
		return err
	}
	if err := s.buildSelf(ctx); err != nil {
		return err
	}
	// These are the packages of the plugins, which InstallPlugins links.
	return s.goBuild(ctx, "./internal/ghcmd", "./internal/kubecmd")
}

// goBuild runs go build in the product's own module.
func (s *Sandbox) goBuild(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "go", append([]string{"build"}, args...)...)
	cmd.Dir, cmd.Env = s.Root, append(os.Environ(), "GOGC=400") // the compiler collects garbage less often
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// start starts what is not running.
func (s *Sandbox) start(ctx context.Context) error {
	begin := time.Now()
	if err := s.writeBundle(); err != nil {
		return err
	}
	c, err := s.Cluster()
	if err != nil {
		return err
	}
	work, inner := errgroup.WithContext(ctx)
	work.Go(func() error { return s.startServers(inner) })
	work.Go(func() error {
		if err := c.Up(inner); err != nil {
			return err
		}
		return s.furnish(inner, c)
	})
	if err := work.Wait(); err != nil {
		return err
	}
	s.say("everything is up (%.1f s)", time.Since(begin).Seconds())
	return nil
}

// startServers starts the servers that are not part of the cluster.
func (s *Sandbox) startServers(ctx context.Context) error {
	registry, err := s.registry()
	if err != nil {
		return err
	}
	outside, err := s.outside()
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.path("run", "buildkitd.toml"), []byte("[worker.oci]\n  gc = true\n"), 0o644); err != nil {
		return err
	}
	// The limit is generous, because compilers may be running on the machine
	// at the same time.
	const patience = 3 * time.Minute
	starting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	set := s.set()
	for _, d := range []struct {
		spec  daemon.Spec
		ready func(context.Context) error
	}{
		{registry, answers("http://" + RegistryAddr + "/v2/")},
		{outside, answers("http://" + outsideAddr + "/")},
		{s.builder(), func(ctx context.Context) error {
			return exec.CommandContext(ctx, s.path("bin", "buildctl"), "--addr", s.builderAddr(), "debug", "workers").Run()
		}},
	} {
		started, err := set.Start(starting, d.spec)
		if err != nil {
			return err
		}
		if err := set.Await(starting, d.spec.Name, d.ready); err != nil {
			return err
		}
		if started {
			s.say("%s is up", d.spec.Name)
		}
	}
	return s.pushBase(ctx)
}

// answers returns a check that succeeds when anything at all answers.
func answers(url string) func(context.Context) error {
	return func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		return resp.Body.Close()
	}
}

// pushBase pushes the base image of the worker's Dockerfile directly to the
// registry, without going through its front.
func (s *Sandbox) pushBase(ctx context.Context) error {
	ref, err := name.ParseReference(RegistryAddr+"/"+worker.BaseName, name.Insecure)
	if err != nil {
		return err
	}
	if _, err := remote.Head(ref, remote.WithContext(ctx)); err == nil {
		return nil
	}
	img, err := worker.BaseImage(ctx, s.Dir, sayWriter{s.say})
	if err != nil {
		return err
	}
	if err := remote.Write(ref, img, remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("push %s: %w", worker.BaseName, err)
	}
	s.say("pushed the base image %s", worker.BaseName)
	return nil
}

// furnish creates what the cluster needs before the first rollout.
func (s *Sandbox) furnish(ctx context.Context, c *cluster.Cluster) error {
	accounts, err := s.Accounts()
	if err != nil {
		return err
	}
	image, err := s.importInngest(ctx, c)
	if err != nil {
		return err
	}
	pull, err := json.Marshal(map[string]any{"auths": map[string]any{
		"ghcr.io": map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(Login + ":" + accounts.Puller))},
	}})
	if err != nil {
		return err
	}
	t, err := template.ParseFS(objects, "objects/objects.yaml")
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := t.Execute(&b, map[string]string{
		"PullSecret": base64.StdEncoding.EncodeToString(pull),
		"SigningKey": accounts.SigningKey, "EventKey": accounts.EventKey, "InngestImage": image,
	}); err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, b.String(), "apply", "--server-side", "--field-manager=sandbox", "--force-conflicts", "-f", "-"); err != nil {
		return err
	}
	_, err = c.Kubectl(ctx, "", "--namespace=joelclaw", "rollout", "status", "statefulset/inngest", "--timeout=120s")
	return err
}

// importInngest builds the Inngest server's image from its program, under a tag
// that changes with the program, and loads it into the node.
func (s *Sandbox) importInngest(ctx context.Context, c *cluster.Cluster) (ref string, err error) {
	program := s.path("bin", "inngestpod")
	sum, err := digest(program)
	if err != nil {
		return "", err
	}
	ref = "sandbox.invalid/inngest:" + sum[:12]
	if has, err := c.HasImage(ctx, ref); err != nil || has {
		return ref, err
	}
	img, err := images.Program(program, v1.Config{User: "65532:65532"})
	if err != nil {
		return "", err
	}
	tar := s.path("run", "inngest.tar")
	if err := images.WriteTar(tar, ref, img); err != nil {
		return "", err
	}
	return ref, c.Import(ctx, tar)
}

// self is the path of a copy of the launcher for the daemons: `go run` deletes
// the program that it built when it ends, and a test's program is not a
// launcher.
func (s *Sandbox) self() string { return s.path("bin", "sandbox") }

// buildSelf builds the launcher. That is quick, because `go run` has just
// filled the compiler's cache.
func (s *Sandbox) buildSelf(ctx context.Context) error {
	return s.goBuild(ctx, "-buildvcs=false", "-o", s.self(), "./internal/sandbox/launcher")
}

// writeBundle writes the machine's certificates and the sandbox's own authority
// into one file.
func (s *Sandbox) writeBundle() error {
	ca, err := s.ca()
	if err != nil {
		return err
	}
	own, err := os.ReadFile(ca.File())
	if err != nil {
		return err
	}
	system, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return os.WriteFile(filepath.Join(filepath.Dir(ca.File()), "bundle.crt"), append(append(system, '\n'), own...), 0o644)
}

// sayWriter returns a writer that calls Say for each line.
type sayWriter struct{ say tools.Say }

func (t sayWriter) Write(b []byte) (int, error) {
	for line := range bytes.Lines(b) {
		t.say("%s", bytes.TrimSpace(line))
	}
	return len(b), nil
}
