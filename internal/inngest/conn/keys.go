package conn

import (
	"context"
	"errors"
	"net/http"

	"github.com/joelhooks/gh-sbw/internal/inngest/client"
	"github.com/joelhooks/gh-sbw/internal/inngest/judge"
	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/inngest/sdk"
	"github.com/joelhooks/gh-sbw/internal/inngest/wire"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

const (
	envDev      = "INNGEST_DEV"
	envFallback = "INNGEST_SIGNING_KEY_FALLBACK"
)

// useFallback uses the worker's fallback key from here on if the server accepts
// that key and not the worker's own. The SDK does the same while keys are rotated:
// it accepts requests with either key, and registers with the one that works. The
// server is asked only if the worker has both keys; what else goes wrong shows at
// the first real request.
func (c *Conn) useFallback(ctx context.Context, o client.Options) error {
	fallback, ok := c.env.Lookup(envFallback)
	if !ok || c.key.IsZero() || !c.Options.Key.IsZero() || !wrongKey(c.Client.CheckKey(ctx)) {
		return nil
	}
	o.Key = wire.NewSigningKey(fallback)
	other, err := client.New(o)
	if err != nil || other.CheckKey(ctx) != nil {
		return err // CheckKeys reports the worker's own key
	}
	c.Client, c.key, c.rotating = other, o.Key, true
	return nil
}

func wrongKey(err error) bool {
	refused, ok := errors.AsType[*wire.ServerError](err)
	return ok && refused.Status == http.StatusUnauthorized
}

// CheckKeys determines, without changing anything, whether the worker's
// signing key is the server's, and whether the worker's mode fits the kind of
// server. If the environment does not set the mode, a running pod is asked for
// it.
func (c *Conn) CheckKeys(ctx context.Context) ([]*pipeline.Finding, error) {
	health, err := c.Client.Health(ctx)
	if err != nil {
		return nil, c.Explain("reach Inngest", err)
	}
	var found []*pipeline.Finding
	switch {
	case c.rotating:
		found = append(found, &pipeline.Finding{
			Code: model.CodeWrongSigningKey, Severity: pipeline.Warning,
			What: "the Inngest server accepts only the worker's fallback signing key, " + envFallback,
			Why:  "a worker without that fallback can neither register nor be called",
			Fix:  "restart the server with the new key as --signing-key, then remove the fallback",
		})
	case !c.key.IsZero():
		found = append(found, pipeline.AsFindings("cannot check the signing key", c.Client.CheckKey(ctx))...)
	}
	mode, source := "", "INNGEST_DEV is set in the worker's environment"
	if dev, ok := c.env.Lookup(envDev); ok {
		mode = judge.Mode(dev)
	}
	if mode == "" {
		if mode, err = c.liveMode(ctx); err != nil {
			return found, err
		}
		source = "the running worker reports its mode as " + mode
	}
	if f := judge.JudgeKind(health.Kind, mode, source); f != nil {
		found = append(found, f)
	}
	return found, nil
}

// liveMode returns the mode of a running pod. It returns "" if no pod can be
// asked, because a rollout may be what repairs that.
func (c *Conn) liveMode(ctx context.Context) (string, error) {
	w, err := c.WorkerAt(ctx, "")
	if err != nil {
		return "", ignoreFinding(err)
	}
	in, err := w.Inspect(ctx)
	switch {
	case err == nil:
		return in.Mode, nil
	case errors.Is(err, sdk.ErrKeyNeeded):
		return "cloud", nil // only a worker in cloud mode requires a signature
	}
	return "", ignoreFinding(err)
}

// ignoreFinding drops what the worker's own checks report.
func ignoreFinding(err error) error {
	if _, ok := errors.AsType[*pipeline.Finding](err); ok {
		return nil
	}
	return err
}
