//go:build linux

package sandbox

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/joelhooks/gh-sbw/internal/sandbox/sweep"
)

// Down stops everything and leaves nothing running or mounted. What was built or
// installed stays, and so does the builder's cache.
func (s *Sandbox) Down(ctx context.Context) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	return s.stop(ctx)
}

func (s *Sandbox) stop(ctx context.Context) error {
	begin := time.Now()
	var errs []error
	did := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	c, err := s.Cluster()
	if err != nil {
		return err
	}
	did(c.Down(ctx))
	set := s.set()
	names, err := set.Names()
	did(err)
	const grace = 5 * time.Second
	for _, name := range names {
		did(set.Stop(ctx, name, grace))
	}
	for _, dir := range []string{s.path("buildkit"), s.path("run")} {
		_, err := sweep.Processes(ctx, dir)
		did(err)
		_, err = sweep.Mounts(dir)
		did(err)
	}
	did(sweep.Cgroups("buildkit")) // where BuildKit mounts the steps of a build
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if err := os.RemoveAll(s.path("run")); err != nil {
		return err
	}
	s.say("everything is down (%.1f s)", time.Since(begin).Seconds())
	return nil
}
