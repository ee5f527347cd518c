package judge

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Mode is how INNGEST_DEV sets an SDK: "cloud", "dev", or empty if the value
// lets the SDK decide (inngest-js: helpers/env.ts).
func Mode(dev string) string {
	switch strings.ToLower(strings.TrimSpace(dev)) {
	case "":
		return ""
	case "0", "false", "no", "n", "off":
		return "cloud"
	case "1", "true", "yes", "y", "on":
		return "dev"
	}
	if u, err := url.Parse(dev); err == nil && u.Host != "" {
		return "dev" // the dev server's URL
	}
	return ""
}

// JudgeKind reports a worker and a server that do not fit together. kind is
// the server's ("cloud" is `inngest start`) and mode the worker's; either may
// be empty if it is not known.
func JudgeKind(kind, mode, source string) *pipeline.Finding {
	if kind == "" || mode == "" || kind == mode {
		return nil
	}
	f := &pipeline.Finding{
		Code: model.CodeServerKind, Severity: pipeline.Error,
		What: fmt.Sprintf("the worker runs in %s mode, but the server was started with `inngest %s`", mode, command(kind)),
		Why:  "the worker would refuse every run: " + source,
		Fix:  "set INNGEST_DEV=0 in the manifest for a server that was started with `inngest start`",
	}
	if kind == "dev" {
		f.Fix = "set INNGEST_DEV=1 in the manifest, or start the server with `inngest start`"
	}
	return f
}

func command(kind string) string {
	if kind == "cloud" {
		return "start"
	}
	return kind
}
