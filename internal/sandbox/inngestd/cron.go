package inngestd

import (
	"context"
	"time"

	"github.com/robfig/cron/v3"
)

// scheduleLocked starts a function's crons, each in the server's local time
// unless it says TZ=.
func (s *Server) scheduleLocked(f *function) {
	s.unscheduleLocked(f)
	if !s.opts.Crons {
		return
	}
	ctx, cancel := context.WithCancel(s.ctx)
	s.schedule[f.id] = cancel
	for _, t := range f.config.Triggers {
		if t.Cron == "" {
			continue
		}
		when, err := cron.ParseStandard(t.Cron)
		if err != nil {
			s.log.Warn("cron", "function", f.slug, "expression", t.Cron, "error", err)
			continue
		}
		if spec, ok := when.(*cron.SpecSchedule); ok && spec.Location == time.Local {
			spec.Location = time.UTC // that of the real server's image
		}
		s.tasks.Go(func() { s.tick(ctx, f, t.Cron, when) })
	}
}

func (s *Server) unscheduleLocked(f *function) {
	if cancel, ok := s.schedule[f.id]; ok {
		cancel()
		delete(s.schedule, f.id)
	}
}

// ForgetSchedules drops every schedule, as a server does whose Redis is emptied while
// it runs. A registration that changes nothing does not restore the schedules; the
// server's next start does.
func (s *Server) ForgetSchedules() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.functions {
		s.unscheduleLocked(f)
	}
}

func (s *Server) tick(ctx context.Context, f *function, expression string, when cron.Schedule) {
	for {
		now := s.opts.Now()
		if !pause(ctx, when.Next(now).Sub(now)) {
			return
		}
		s.mu.Lock()
		if !f.archived { // an app that is deleted keeps its schedules, as on the real server (1.43)
			s.startLocked(f, nil, expression)
		}
		s.mu.Unlock()
	}
}
