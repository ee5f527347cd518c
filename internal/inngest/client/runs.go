package client

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
)

// RunFilter selects runs. Empty fields match everything.
type RunFilter struct {
	Apps      []string // ids
	Functions []string // ids
	Status    []model.RunStatus
	// Since is compared with the time when a run was queued, because a run
	// that matters may have started long ago. Zero means Ever.
	Since time.Time
	Until time.Time // zero means now
	Limit int       // how many of the newest runs; 0 means all
	// ByEnd compares Since and Until with the time when a run ended, and sorts
	// by it. It is only meaningful for ended runs, because the list also
	// contains an end for others.
	ByEnd bool
}

// Ever is longer ago than a run can last: a sleep ends within a year.
const Ever = 400 * 24 * time.Hour

// RunPage is less than 400, at which the server silently returns 40, and equal
// to the 100 that REST allows.
const RunPage = 100

type gqlRun struct {
	ID, AppID, FunctionID, EventName, CronSchedule string
	Function                                       *struct{ Slug string }
	Status                                         model.RunStatus
	QueuedAt                                       time.Time
	TriggerIDs                                     []string
}

func (g gqlRun) run() model.Run {
	r := model.Run{
		ID:         g.ID,
		AppID:      g.AppID,
		FunctionID: g.FunctionID,
		Status:     g.Status,
		Queued:     g.QueuedAt,
		Event:      g.EventName,
		Cron:       g.CronSchedule,
		Events:     g.TriggerIDs,
	}
	if g.Function != nil {
		r.Slug = g.Function.Slug
	}
	return r
}

// Runs lists runs, the newest first, with as many requests as needed. The
// times of start and end, and the step, are only in a trace: see Detail.
func (c *Client) Runs(ctx context.Context, f RunFilter) ([]model.Run, error) {
	var all []model.Run
	seen := map[string]bool{}
	for cursor := ""; ; {
		size := RunPage
		if f.Limit > 0 {
			size = min(size, f.Limit-len(all))
		}
		page, next, err := c.runPage(ctx, f, size, cursor)
		if err != nil {
			return nil, err
		}
		fresh := false
		for _, r := range page {
			// The server does not filter by every status, so others are
			// filtered here.
			if seen[r.ID] || (len(f.Status) > 0 && !slices.Contains(f.Status, r.Status)) {
				continue
			}
			seen[r.ID], fresh = true, true
			all = append(all, r)
		}
		if next == "" || next == cursor || len(page) == 0 || (f.Limit > 0 && len(all) >= f.Limit) || (!fresh && len(f.Status) == 0) {
			return all, nil
		}
		cursor = next
	}
}

// since returns when the runs that a filter selects were queued at the earliest.
func (c *Client) since(f RunFilter) time.Time {
	if f.Since.IsZero() {
		return c.Now().Add(-Ever)
	}
	return f.Since
}

func (c *Client) runPage(ctx context.Context, f RunFilter, size int, cursor string) (page []model.Run, next string, err error) {
	filter := map[string]any{"from": c.since(f).UTC().Format(time.RFC3339Nano)}
	if !f.Until.IsZero() {
		filter["until"] = f.Until.UTC().Format(time.RFC3339Nano)
	}
	for name, ids := range map[string][]string{"appIDs": f.Apps, "functionIDs": f.Functions} {
		if len(ids) > 0 {
			filter[name] = ids
		}
	}
	if len(f.Status) > 0 {
		filter["status"] = f.Status
	}
	order := "QUEUED_AT"
	if f.ByEnd {
		order, filter["timeField"] = "ENDED_AT", "ENDED_AT"
	}
	vars := map[string]any{"f": filter, "n": size}
	if cursor != "" {
		vars["a"] = cursor
	}
	var out struct {
		Runs struct {
			Edges []struct {
				Node   gqlRun
				Cursor string
			}
			PageInfo struct {
				HasNextPage bool
				EndCursor   string
			}
		}
	}
	build := func(function string) func(schema) string {
		return func(s schema) string {
			node := s.pick("FunctionRunV2", "id", "appID", "functionID", function, "status", "queuedAt", "eventName", "cronSchedule", "triggerIDs")
			return "query($f:RunsFilterV2!,$n:Int!,$a:String){runs(first:$n,after:$a,orderBy:[{field:" + order + ",direction:DESC}],filter:$f)" +
				"{edges{node{" + node + "} cursor} pageInfo{hasNextPage endCursor}}}"
		}
	}
	err = c.ask(ctx, "list runs", build("function{slug}"), vars, &out)
	if said, ok := errors.AsType[*wire.ServerError](err); ok && strings.Contains(said.Words, "function") && said.Status == http.StatusOK {
		// A run whose function's row is missing makes the whole page fail,
		// because the field cannot be null. The list is then read without that
		// field.
		err = c.ask(ctx, "list runs", build("functionID"), vars, &out)
	}
	if errors.Is(err, ErrNoGraphQL) {
		return c.runPageByREST(ctx, f, size, cursor)
	}
	if err != nil {
		return nil, "", err
	}
	for _, e := range out.Runs.Edges {
		page = append(page, e.Node.run())
		next = e.Cursor
	}
	if !out.Runs.PageInfo.HasNextPage {
		return page, "", nil
	}
	if out.Runs.PageInfo.EndCursor != "" {
		next = out.Runs.PageInfo.EndCursor
	}
	return page, next, nil
}

// runPageByREST only knows the names of apps and functions, so ids are
// filtered by the names that Apps returned for them.
func (c *Client) runPageByREST(ctx context.Context, f RunFilter, size int, cursor string) (page []model.Run, next string, err error) {
	apps, err := c.appsByREST(ctx)
	if err != nil {
		return nil, "", err
	}
	q := url.Values{"limit": {strconv.Itoa(size)}, "from": {c.since(f).UTC().Format(time.RFC3339Nano)}}
	if !f.Until.IsZero() {
		q.Set("until", f.Until.UTC().Format(time.RFC3339Nano))
	}
	if f.ByEnd {
		q.Set("timeField", "ENDED_AT")
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
	for _, s := range f.Status {
		q.Add("status", string(s))
	}
	for _, a := range apps {
		if slices.Contains(f.Apps, a.ID) {
			q.Add("appId", a.Name)
		}
	}
	var out struct {
		Data []struct {
			ID       string
			App      struct{ ID string }
			Function struct{ ID string }
			Status   model.RunStatus
			QueuedAt time.Time
			Trigger  struct {
				EventIDs     []string
				CronSchedule string
			}
		}
		Page struct {
			Cursor  string
			HasMore bool
		}
	}
	if err := c.rest(ctx, "list runs", http.MethodGet, "/v2/runs", q, &out); err != nil {
		return nil, "", err
	}
	for _, d := range out.Data {
		r := model.Run{
			ID:     d.ID,
			Slug:   slugIn(apps, d.App.ID, d.Function.ID),
			Status: d.Status,
			Queued: d.QueuedAt,
			Cron:   d.Trigger.CronSchedule,
			Events: d.Trigger.EventIDs,
		}
		for _, a := range apps {
			for _, fn := range a.Functions {
				if fn.Slug == r.Slug {
					r.AppID, r.FunctionID = a.ID, fn.ID
				}
			}
		}
		if len(f.Functions) == 0 || slices.Contains(f.Functions, r.FunctionID) {
			page = append(page, r)
		}
	}
	if out.Page.HasMore {
		next = out.Page.Cursor
	}
	return page, next, nil
}

// slugIn completes a function's id as /v2/runs has it: without the app's name in front
// (1.43), although the id itself may begin with that name, as in the function
// voice-missed-call of the app voice. What is registered decides.
func slugIn(apps []model.App, app, id string) string {
	full := app + "-" + id
	for _, a := range apps {
		if a.Name != app {
			continue
		}
		slugs := a.Slugs()
		if !slices.Contains(slugs, full) && slices.Contains(slugs, id) {
			return id
		}
	}
	return full
}

// CancelRun cancels a run. Cancelling it twice succeeds; cancelling a run that
// has ended by itself fails. It may take a few seconds.
func (c *Client) CancelRun(ctx context.Context, id string) error {
	err := c.ask(
		ctx,
		"cancel run "+id,
		func(schema) string { return `mutation($id:ULID!){cancelRun(runID:$id){id}}` },
		map[string]any{"id": id},
		nil,
	)
	if errors.Is(err, ErrNoGraphQL) {
		err = c.rest(ctx, "cancel run "+id, http.MethodPost, "/v2/runs/"+url.PathEscape(id)+"/cancel", nil, nil)
		if said, ok := errors.AsType[*wire.ServerError](err); ok && strings.Contains(said.Words, "already cancelled") {
			return nil
		}
	}
	return err
}

// Rerun starts a run's function again with the run's event, from its first
// step, and returns the new run's id.
func (c *Client) Rerun(ctx context.Context, id string) (string, error) {
	var out struct{ Rerun string }
	err := c.ask(ctx, "rerun "+id, func(schema) string { return `mutation($id:ULID!){rerun(runID:$id)}` }, map[string]any{"id": id}, &out)
	if errors.Is(err, ErrNoGraphQL) {
		var rest struct{ Data struct{ RunID string } }
		err = c.rest(ctx, "rerun "+id, http.MethodPost, "/v2/runs/"+url.PathEscape(id)+"/rerun", nil, &rest)
		return rest.Data.RunID, err
	}
	return out.Rerun, err
}

// IsGone reports whether the server no longer has what was asked for. A route
// that it does not have is something else.
func IsGone(err error) bool {
	said, ok := errors.AsType[*wire.ServerError](err)
	if !ok || strings.Contains(said.Words, "page not found") {
		return false
	}
	// For the trace of a run, GraphQL (1.43) says the latter.
	return strings.Contains(said.Words, "not found") || strings.Contains(said.Words, "no root span found")
}
