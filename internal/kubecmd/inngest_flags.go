package kubecmd

import (
	"context"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/joelhooks/gh-sbw/internal/cli"
	"github.com/joelhooks/gh-sbw/internal/cluster/containerenv"
	"github.com/joelhooks/gh-sbw/internal/cluster/workload"
	"github.com/joelhooks/gh-sbw/internal/inngest/conn"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/rollout"
	"github.com/joelhooks/gh-sbw/internal/worker"
)

// inngestFlags are the flags of every command that uses Inngest.
type inngestFlags struct {
	url     string
	via     string
	keyFrom string
	// key is the parsed keyFrom.
	key containerenv.Source
	// eventKeyFrom and eventKey are the same for the key that sends events.
	eventKeyFrom string
	eventKey     containerenv.Source
}

func (f *inngestFlags) add(c *cobra.Command) {
	fs := c.Flags()
	fs.StringVar(&f.url, "inngest-url", "", "Inngest's URL (default: a port-forward to its Service)")
	fs.StringVar(
		&f.via,
		"inngest-via",
		"",
		"the route to Inngest's Service: port-forward, direct (its NodePort, load balancer or ingress), auto (either) (default: auto)",
	)
	fs.StringVar(
		&f.keyFrom,
		"signing-key-from",
		"",
		"where to find the signing key: "+containerenv.SourceForms+" (default: the worker's own environment in the cluster)",
	)
	c.MarkFlagsMutuallyExclusive("inngest-url", "inngest-via")
	cli.Complete(c, "inngest-via", conn.ViaAuto, conn.ViaForward, conn.ViaDirect)
}

// addEventKey adds the flag of a command that sends an event.
func (f *inngestFlags) addEventKey(c *cobra.Command) {
	c.Flags().
		StringVar(&f.eventKeyFrom, "event-key-from", "", "where to find the key that sends --confirm-run's event: "+containerenv.SourceForms+
			" (default: the worker's own environment in the cluster)")
}

// validate finds mistakes in the flags themselves.
func (f *inngestFlags) validate() (err error) {
	if f.keyFrom != "" {
		if f.key, err = containerenv.ParseSource("--signing-key-from", f.keyFrom); err != nil {
			return err
		}
	}
	if f.eventKeyFrom != "" {
		if f.eventKey, err = containerenv.ParseSource("--event-key-from", f.eventKeyFrom); err != nil {
			return err
		}
	}
	if err := checkURL("--inngest-url", f.url); err != nil {
		return err
	}
	return checkVia("--inngest-via", f.via)
}

// checkURL accepts the URL of a server, or "".
func checkURL(name, text string) error {
	if text == "" {
		return nil
	}
	if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return pipeline.UsageErrorf(pipeline.CodeUsage, "give it as http://HOST:PORT", "%s: %q is not the URL of a server", name, text)
	}
	return nil
}

func checkVia(name, via string) error {
	switch via {
	case "", conn.ViaAuto, conn.ViaForward, conn.ViaDirect:
		return nil
	}
	return pipeline.UsageErrorf(pipeline.CodeUsage, "use auto, port-forward or direct", "%s: %q is not a route to Inngest", name, via)
}

// complete fills in from the configuration what the flags leave open.
func (f *inngestFlags) complete(w worker.Inngest) (err error) {
	if f.url == "" && f.via == "" {
		f.url, f.via = w.URL, w.Via
		if err := checkVia(worker.ConfigName+": inngest.via", f.via); err != nil {
			return err
		}
		if err := checkURL(worker.ConfigName+": inngest.url", f.url); err != nil {
			return err
		}
	}
	if f.via == "" {
		f.via = conn.ViaAuto
	}
	if f.keyFrom == "" && w.SigningKeyFrom != "" {
		f.keyFrom = w.SigningKeyFrom
		if f.key, err = containerenv.ParseSource(worker.ConfigName+": inngest.signingKeyFrom", f.keyFrom); err != nil {
			return err
		}
	}
	if f.eventKeyFrom == "" && w.EventKeyFrom != "" {
		f.eventKeyFrom = w.EventKeyFrom
		f.eventKey, err = containerenv.ParseSource(worker.ConfigName+": inngest.eventKeyFrom", f.eventKeyFrom)
	}
	return err
}

// into copies the route and the keys to o.
func (f *inngestFlags) into(o *rollout.InngestOptions) {
	o.URL, o.Via, o.Key, o.EventKey = f.url, f.via, f.key, f.eventKey
}

// target completes the flags, and returns the target and the options for Inngest.
func (f inngestFlags) target(k *factory) (*rollout.Target, rollout.InngestOptions, error) {
	var o rollout.InngestOptions
	if err := f.validate(); err != nil {
		return nil, o, err
	}
	t, err := k.target()
	if err != nil {
		return nil, o, err
	}
	if err := f.complete(t.Worker.Inngest); err != nil {
		return nil, o, err
	}
	f.into(&o)
	return t, o, nil
}

// connect connects a command that only concerns Inngest to Inngest and to the running
// worker. The caller closes the connection.
func (f inngestFlags) connect(ctx context.Context, k *factory) (*rollout.Target, *conn.Conn, *workload.Workload, error) {
	t, o, err := f.target(k)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := needsInngest(t); err != nil {
		return nil, nil, nil, err
	}
	c, live, err := t.ConnectLive(ctx, o)
	return t, c, live, err
}

// needsInngest refuses a command that only concerns Inngest if the worker registers
// nothing there.
func needsInngest(t *rollout.Target) error {
	if !t.Worker.Inngest.Off {
		return nil
	}
	return pipeline.UsageErrorf(codeInngestNone, "remove it if the worker does register functions, or choose another worker with --worker",
		"worker %s registers nothing with Inngest: %s has %q", t.Worker.Name, worker.ConfigName, worker.NoInngest)
}
