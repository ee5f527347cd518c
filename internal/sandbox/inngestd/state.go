package inngestd

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// What a server keeps on its volume when its pod is replaced: apps, functions, events,
// and runs with their traces. As seen on the real server (1.43 and the newest, without
// Redis, after SIGTERM and after SIGKILL), the queue is lost: a run that had not ended
// stays in the list as it was and does not go on. Crons are planned again from the
// functions of registered apps (pkg/execution/runner, InitializeCrons). On SIGTERM a
// server waits for the requests to workers that are open.

type savedApp struct {
	ID, Name, URL, Error, Method, AppVersion, Language, SDK, Framework, Checksum string
	Archived                                                                     bool
	Created                                                                      time.Time
}

type savedFunction struct {
	ID, App, Name, Slug string
	Config              functionConfig
	Archived            bool
	Created             time.Time
}

type savedEvent struct {
	Internal string
	event
}

type savedSpan struct {
	ID, Name, Status, Op, Step string
	Attempts                   int
	Queued, Started, Ended     time.Time
	Duration                   *int
	Output                     bool
	Children                   []savedSpan
}

type savedOutput struct {
	Data json.RawMessage
	Err  *stepError
}

type savedRun struct {
	ID, Function, Status, Event, Cron, Root string
	Queued, Started, Touched, Ended         time.Time
	Spans                                   []savedSpan
	Outputs                                 map[string]savedOutput
}

type savedState struct {
	Apps      []savedApp
	Functions []savedFunction
	Events    []savedEvent
	Runs      []savedRun
}

// saveLocked writes the state to the server's file, if it has one.
func (s *Server) saveLocked() {
	if s.opts.File == "" {
		return
	}
	var all savedState
	for _, a := range s.apps {
		all.Apps = append(all.Apps, savedApp{
			a.id, a.name, a.url, a.err, a.method, a.appVersion, a.sdkLanguage, a.sdk, a.framework, a.checksum, a.archived, a.created,
		})
	}
	for _, f := range s.functions {
		all.Functions = append(all.Functions, savedFunction{f.id, f.appID, f.name, f.slug, f.config, f.archived, f.created})
	}
	for _, e := range s.events {
		all.Events = append(all.Events, savedEvent{e.internal, *e})
	}
	for _, r := range s.runs {
		one := savedRun{
			ID: r.id, Function: r.function.id, Status: r.status, Cron: r.cron, Root: r.rootSpan, Queued: r.queued, Started: r.started,
			Touched: r.touched, Ended: r.ended, Spans: savedSpans(r.spans), Outputs: map[string]savedOutput{},
		}
		if r.event != nil {
			one.Event = r.event.internal
		}
		for id, out := range r.outputs {
			one.Outputs[id] = savedOutput{out.data, out.err}
		}
		all.Runs = append(all.Runs, one)
	}
	if err := writeFile(s.opts.File, all); err != nil {
		s.log.Error("the state cannot be saved", "error", err)
	}
}

func savedSpans(spans []*span) []savedSpan {
	var all []savedSpan
	for _, sp := range spans {
		all = append(all, savedSpan{
			sp.id,
			sp.name,
			sp.status,
			sp.stepOp,
			sp.stepID,
			sp.attempts,
			sp.queued,
			sp.started,
			sp.ended,
			sp.duration,
			sp.output,
			savedSpans(sp.children),
		})
	}
	return all
}

// writeFile replaces a file at once, since the process may be killed at any time.
func writeFile(name string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return err
	}
	next, err := os.CreateTemp(filepath.Dir(name), "state")
	if err != nil {
		return err
	}
	_, err = next.Write(raw)
	if err := errors.Join(err, next.Close()); err != nil {
		return err
	}
	return os.Rename(next.Name(), name)
}

// load reads what another Server saved in the file; a missing file is an empty state.
func (s *Server) load() error {
	raw, err := os.ReadFile(s.opts.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var all savedState
	if err := json.Unmarshal(raw, &all); err != nil {
		return err
	}
	for _, a := range all.Apps {
		s.apps = append(s.apps, &app{
			id: a.ID, name: a.Name, url: a.URL, err: a.Error, method: a.Method, appVersion: a.AppVersion, sdkLanguage: a.Language, sdk: a.SDK,
			framework: a.Framework, checksum: a.Checksum, archived: a.Archived, created: a.Created,
		})
	}
	for _, f := range all.Functions {
		s.functions = append(s.functions, &function{
			id: f.ID, appID: f.App, name: f.Name, slug: f.Slug, config: f.Config, archived: f.Archived, created: f.Created,
		})
	}
	for _, e := range all.Events {
		e.internal = e.Internal
		s.events[e.Internal] = &e.event
	}
	for _, r := range all.Runs {
		one := &run{
			id: r.ID, function: s.functionLocked(r.Function), status: r.Status, event: s.events[r.Event], cron: r.Cron, rootSpan: r.Root,
			queued: r.Queued, started: r.Started, touched: r.Touched, ended: r.Ended, spans: loadedSpans(r.Spans), outputs: map[string]output{},
			steps: map[string]json.RawMessage{}, cancel: func() {},
		}
		for id, out := range r.Outputs {
			one.outputs[id] = output{data: out.Data, err: out.Err}
		}
		s.runs = append(s.runs, one)
	}
	for _, a := range s.apps {
		for _, f := range s.functions {
			if f.appID == a.id && !a.archived && !f.archived {
				s.scheduleLocked(f)
			}
		}
	}
	return nil
}

func loadedSpans(spans []savedSpan) []*span {
	var all []*span
	for _, sp := range spans {
		all = append(all, &span{
			id: sp.ID, name: sp.Name, status: sp.Status, stepOp: sp.Op, stepID: sp.Step, attempts: sp.Attempts, queued: sp.Queued,
			started: sp.Started, ended: sp.Ended, duration: sp.Duration, output: sp.Output, children: loadedSpans(sp.Children),
		})
	}
	return all
}
