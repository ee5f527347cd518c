package inngest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const (
	// proveFor is how long a path may take to become whole: a Service's new
	// endpoints reach the nodes with a delay, and a call to a pod that is gone
	// takes the server 10 s.
	proveFor = 30 * time.Second
	// refusedFor is how long a path may lead to something that answers, but is not
	// the worker: a pod that is about to end.
	refusedFor = 5 * time.Second
)

// ProveOptions says which path to prove.
type ProveOptions struct {
	Client *client.Client
	Want   model.Wanted

	Timeout time.Duration // 30 s when zero
	Poll    time.Duration // 1 s when zero
}

// Prove makes the server call the worker at its URL, as it will for every run, and
// register it by that. It returns a note where the server cannot do so, and an
// error with the code inngest-path-broken where the call does not arrive. What a
// failed call leaves on the server is removed.
func Prove(ctx context.Context, o ProveOptions) (note *pipeline.Finding, err error) {
	before, err := o.Client.Apps(ctx)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(before, func(a model.App) bool { return a.Name != "" && o.Want.At(a) && a.ID == model.URLAppID(a.URL) }) {
		// createApp would overwrite the row with a failure.
		return unproven("the app was registered by a server before 1.15, and such a call would overwrite its row"), nil
	}
	within := orDefault(o.Timeout, proveFor)
	var last error
	began := time.Now()
	err = poll(ctx, orDefault(o.Poll, time.Second), func() (bool, error) {
		var app model.App
		app, last = o.Client.CreateApp(ctx, o.Want.URL)
		if errors.Is(last, wire.ErrNoAnswer) {
			// A server that is being replaced says nothing about the path. Health waits
			// for it.
			asked, outages := time.Now(), o.Client.Outages()
			if _, err := o.Client.Health(ctx); err != nil {
				return false, last
			}
			if o.Client.Outages() > outages {
				began = began.Add(time.Since(asked))
			}
		}
		if errors.Is(last, client.ErrNoGraphQL) {
			return false, last
		}
		gone := isUnreachable(last)
		if last = judgeCall(o.Want, app, last); last == nil {
			return true, nil
		}
		if !gone && time.Since(began) > refusedFor || time.Since(began) > within {
			return false, last
		}
		return false, nil
	})
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(err, client.ErrNoGraphQL):
		return unproven("the server was started with --no-ui, so it cannot be made to call the worker"), nil
	}
	// The caller may have been interrupted meanwhile.
	clean := removeStub(context.WithoutCancel(ctx), o, before)
	if ctx.Err() != nil {
		return nil, errors.Join(context.Cause(ctx), clean)
	}
	return nil, errors.Join(last, clean)
}

func unproven(why string) *pipeline.Finding {
	return &pipeline.Finding{
		Code: model.CodePathUnproven, Severity: pipeline.Note,
		What: "it is not proven that the server reaches the worker at its URL", Why: why,
		Fix: "start a run (`--confirm-run EVENT`) to prove it",
	}
}

// callErrors are what the server says of its own call to the worker (pkg/deploy).
var callErrors = map[string]struct{ why, fix string }{
	"unreachable": {"nothing answered the server there", ""},
	"unauthorized": {
		"the worker refused the server's signature",
		"give both the same signing key: --signing-key of the server, INNGEST_SIGNING_KEY of the worker",
	},
	"forbidden": {"something in front of the worker answered 403", "let the server's requests pass to the SDK's path"},
	"url_not_found": {
		"what answers there does not serve the SDK at that path",
		"set inngest.path in .sbw.yaml to where the worker serves the SDK",
	},
	"internal_server_error": {
		"the worker answered 500: it could not register with its own server, often because of another signing key",
		"compare INNGEST_SIGNING_KEY and INNGEST_BASE_URL of the worker with the server; its log says more",
	},
	"unsupported_protocol": {"what answers there speaks another protocol", "use http:// in the URL for a worker without TLS"},
}

// isUnreachable reports a call that reached nobody.
func isUnreachable(err error) bool {
	said, ok := errors.AsType[*wire.ServerError](err)
	return errors.Is(err, wire.ErrNoAnswer) || ok && said.Words == "unreachable"
}

// judgeCall judges the answer to createApp; nil when the worker was reached.
func judgeCall(want model.Wanted, app model.App, err error) error {
	said, refused := errors.AsType[*wire.ServerError](err)
	if err != nil && !refused {
		return err // no answer, for example: the server waits for a pod that is gone
	}
	if err == nil && app.Name != "" && app.Error == "" {
		if want.App != "" && app.Name != want.App {
			return &pipeline.Finding{
				Code: model.CodePathBroken, Severity: pipeline.Error, Where: want.URL,
				What: fmt.Sprintf("the server reaches another worker at %s: %s instead of %s", want.URL, app.Name, want.App),
				Why:  "the URL leads to other pods", Fix: "correct the Service's selector, or inngest.host in .sbw.yaml",
			}
		}
		return nil
	}
	word := app.Error
	if refused {
		word = said.Words
	}
	f := &pipeline.Finding{
		Code:     model.CodePathBroken,
		Severity: pipeline.Error,
		Where:    want.URL,
		Err:      err,
		What:     "the Inngest server cannot reach the worker at " + want.URL,
		Why:      "the server reports " + word,
		Fix: "check the Service's name, port, targetPort and selector, and INNGEST_SERVE_HOST (SDK 3) or " +
			"INNGEST_SERVE_ORIGIN (SDK 4) in the manifest",
	}
	if !refused && app.Name == "" {
		f.Why = "something answered there, but it did not register the worker under that URL"
		return f
	}
	if known, ok := callErrors[word]; ok {
		f.Why = known.why
		if known.fix != "" {
			f.Fix = known.fix
		}
	}
	return f
}

// removeStub deletes the nameless app that a failed call left, unless it was there
// before.
func removeStub(ctx context.Context, o ProveOptions, before []model.App) error {
	apps, err := o.Client.Apps(ctx)
	if err != nil {
		return err
	}
	for _, a := range apps {
		known := slices.ContainsFunc(before, func(b model.App) bool { return b.ID == a.ID })
		if known || a.Name != "" || len(a.Functions) > 0 || a.Error == "" || !o.Want.At(a) {
			continue
		}
		if err := o.Client.DeleteApp(ctx, a.ID); err != nil {
			return err
		}
	}
	return nil
}
