package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/joelhooks/gh-sbw/internal/identity"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/push"
)

// childEnv holds the job of a child of the test binary.
const childEnv = "SBW_BENCH_CHILD"

type childJob struct {
	Repo, Dir, Digest string
	Tags              []string
}

func TestMain(m *testing.M) {
	if job := os.Getenv(childEnv); job != "" {
		if err := child(job); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is a publish reduced to identity, preflight and push.
func child(text string) error {
	var j childJob
	if err := json.Unmarshal([]byte(text), &j); err != nil {
		return err
	}
	ctx := context.Background()
	repo, err := name.NewRepository(j.Repo)
	if err != nil {
		return err
	}
	id, err := identity.Find(ctx, identity.Options{Registry: repo.RegistryStr()})
	if err != nil {
		return err
	}
	p := push.New(push.Options{Repository: repo, Auth: id.Authenticator(), Credential: id.Source, ScopeRemedy: id.ScopeRemedy()})
	found := pipeline.RunChecks(ctx, []pipeline.Check{
		{Name: "identity", Run: func(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
			return id.Check(ctx), nil
		}},
		{Name: "push permission", Run: func(ctx context.Context, _ *pipeline.Reporter) ([]*pipeline.Finding, error) {
			return p.Preflight(ctx, j.Tags, j.Digest, false)
		}},
	}, nil)
	if len(found) > 0 {
		return found[0]
	}
	_, err = p.Push(ctx, push.Job{Layout: j.Dir, Digest: j.Digest, Tags: j.Tags}, nil)
	return err
}
