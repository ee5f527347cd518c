package inngestd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (s *Server) queries() object {
	return object{
		"apps": resolver(func(map[string]any) (any, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.appsLocked(), nil
		}),
		"app": resolver(func(args map[string]any) (any, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			a := s.appLocked(fmt.Sprint(args["id"]))
			if a == nil {
				return nil, errNoRow
			}
			return s.appObjectLocked(a), nil
		}),
		"functions": resolver(func(map[string]any) (any, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.liveFunctionsLocked(), nil
		}),
		"functionBySlug": resolver(func(args map[string]any) (any, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			query, _ := args["query"].(map[string]any)
			for _, f := range s.functions {
				if f.slug == query["functionSlug"] && !f.archived {
					return s.functionObjectLocked(f), nil
				}
			}
			return nil, errNoRow
		}),
		"runs":                   resolver(s.resolveRuns),
		"run":                    resolver(s.resolveRun),
		"runTrace":               resolver(s.resolveTrace),
		"runTraceSpanOutputByID": resolver(s.resolveOutput),
		"workerConnections":      resolver(s.resolveConnections),
	}
}

func (s *Server) mutations() object {
	return object{
		"createApp": resolver(s.createApp),
		"deleteApp": resolver(func(args map[string]any) (any, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			id := fmt.Sprint(args["id"])
			if len(id) != len(nilUUID) {
				return nil, fmt.Errorf("invalid UUID length: %d", len(id))
			}
			if a := s.appLocked(id); a != nil {
				a.archived = true
				s.saveLocked()
			}
			return id, nil // deleting an unknown id succeeds
		}),
		"deleteAppByName": resolver(func(args map[string]any) (any, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			for _, a := range s.apps {
				if !a.archived && a.name == args["name"] {
					a.archived = true
					return true, nil
				}
			}
			return false, nil
		}),
		"invokeFunction": resolver(func(args map[string]any) (any, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			data, _ := args["data"].(map[string]any)
			s.publishLocked(invocation(fmt.Sprint(args["functionSlug"]), data))
			return true, nil
		}),
		"cancelRun": resolver(func(args map[string]any) (any, error) {
			r, err := s.cancelRun(fmt.Sprint(args["runID"]))
			if err != nil {
				return nil, err
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			eventID := ""
			if r.event != nil {
				eventID = r.event.internal
			}
			return object{
				"id": r.id, "functionID": r.function.id, "status": r.status, "startedAt": timeOrNil(r.queued),
				"finishedAt": timeOrNil(r.ended), "output": nil, "eventID": eventID,
			}, nil
		}),
		"rerun": resolver(func(args map[string]any) (any, error) {
			r, err := s.rerun(fmt.Sprint(args["runID"]))
			if err != nil {
				return nil, err
			}
			return r.id, nil
		}),
	}
}

// createApp is "add app" in the UI: it creates a nameless row that says
// unreachable, and then sends a signed request that makes the worker register.
func (s *Server) createApp(args map[string]any) (any, error) {
	input, _ := args["input"].(map[string]any)
	raw := fmt.Sprint(input["url"])
	if !strings.Contains(raw, "://") {
		raw = "http://" + raw
	}
	target := normalizeURL(raw)
	s.mu.Lock()
	a := s.appLocked(uuidOf(target))
	if a == nil {
		a = &app{id: uuidOf(target), method: "SERVE", created: s.now()}
		s.apps = append(s.apps, a)
	}
	a.url, a.err, a.archived = target, "unreachable", false
	s.mu.Unlock()
	if err := s.ping(target); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, a := range s.apps {
		if !a.archived && a.url == target {
			return s.appObjectLocked(a), nil
		}
	}
	return nil, errors.New("There was an error creating your app") // in the server's words
}

// ping asks a worker to register (pkg/deploy).
func (s *Server) ping(target string) error {
	body, err := json.Marshal(map[string]string{"url": target})
	if err != nil {
		return err
	}
	// The real server's client (pkg/deploy) has this timeout, because a pod
	// that is gone does not answer.
	ctx, cancel := context.WithTimeout(s.ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, target, strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(headerServerKind, s.opts.Kind)
	if s.opts.SigningKey != "" {
		req.Header.Set(headerSignature, sign(s.opts.SigningKey, body, s.now()))
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return errors.New("unreachable")
	}
	defer resp.Body.Close()
	codes := map[int]string{401: "unauthorized", 403: "forbidden", 404: "url_not_found", 500: "internal_server_error"}
	if code, bad := codes[resp.StatusCode]; bad {
		return errors.New(code)
	}
	return nil
}

func (s *Server) appsLocked() []object {
	live := slices.DeleteFunc(slices.Clone(s.apps), func(a *app) bool { return a.archived })
	slices.SortFunc(live, func(a, b *app) int { return strings.Compare(a.id, b.id) })
	all := []object{}
	for _, a := range live {
		all = append(all, s.appObjectLocked(a))
	}
	return all
}

func (s *Server) appObjectLocked(a *app) object {
	fns := []object{}
	for _, f := range bySlug(s.functionsOfLocked(a.id)) {
		fns = append(fns, s.functionObjectLocked(f))
	}
	return object{
		"id": a.id, "externalID": a.name, "name": a.name, "sdkLanguage": a.sdkLanguage, "sdkVersion": a.sdk,
		"framework": stringOrNil(a.framework), "url": a.url, "checksum": a.checksum, "error": stringOrNil(a.err),
		"functions": fns, "method": a.method, "appVersion": a.appVersion,
		"sdkFeatureReadiness": object{"aiMetadataExtraction": nil, "extendedTraces": nil},
		"connected":           a.err == "", "functionCount": len(fns), "autodiscovered": false,
	}
}

// bySlug is the order in which the server's database returned the functions in
// the recordings.
func bySlug(fns []*function) []*function {
	slices.SortStableFunc(fns, func(a, b *function) int { return strings.Compare(a.slug, b.slug) })
	return fns
}

func (s *Server) liveFunctionsLocked() []object {
	live := slices.DeleteFunc(slices.Clone(s.functions), func(f *function) bool { return !s.liveLocked(f) })
	all := []object{}
	for _, f := range bySlug(live) {
		all = append(all, s.functionObjectLocked(f))
	}
	return all
}

func (s *Server) functionObjectLocked(f *function) object {
	triggers := []object{}
	for _, t := range f.config.Triggers {
		if t.Cron != "" {
			triggers = append(triggers, object{"type": "CRON", "value": t.Cron, "condition": nil})
			continue
		}
		var condition any
		if t.Expression != nil {
			condition = *t.Expression
		}
		triggers = append(triggers, object{"type": "EVENT", "value": t.Event, "condition": condition})
	}
	limits, partition := []object{}, 0
	for _, l := range f.config.Concurrency {
		scope := map[string]string{scopeFn: "FUNCTION", scopeEnv: "ENVIRONMENT", scopeAccount: "ACCOUNT"}[l.Scope]
		var key any
		if l.Key != nil {
			key = *l.Key
		} else if l.Scope == scopeFn {
			partition = l.Limit
		}
		limits = append(limits, object{"scope": scope, "limit": object{"value": l.Limit, "isPlanLimit": false}, "key": key})
	}
	if len(limits) == 0 {
		limits = append(limits, object{"scope": "ACCOUNT", "limit": object{"value": -1, "isPlanLimit": true}, "key": nil})
	}
	config, _ := json.Marshal(f.config) // plain data
	return object{
		"id": f.id, "name": f.name, "slug": f.slug, "url": f.url(), "appID": f.appID, "config": string(config),
		"concurrency": partition, "triggers": triggers,
		"configuration": object{
			"retries":     object{"value": f.retries(), "isDefault": f.retries() == defaultRetries},
			"concurrency": limits,
		},
		"failureHandler": resolver(func(map[string]any) (any, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if h := s.activeFunctionLocked(f.appID, f.slug+"-failure"); h != nil {
				return s.functionObjectLocked(h), nil
			}
			return nil, nil
		}),
		"app": resolver(func(map[string]any) (any, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.appObjectLocked(s.appLocked(f.appID)), nil
		}),
	}
}

func stringOrNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// timeOrNil formats a time like the server: in UTC, without trailing zeros.
func timeOrNil(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Format(time.RFC3339Nano)
}
