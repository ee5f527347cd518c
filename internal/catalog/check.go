package catalog

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// CheckOptions say what is wanted although it is unsafe, and how grave the rest is.
type CheckOptions struct {
	// ZeroRetries are the ids that may have `retries: 0`, each with its reason.
	ZeroRetries map[string]string
	// Severity overrides a check's severity by its code: "error", "warning", "off".
	Severity map[string]string
	// SameServer says that all indexes run against one Inngest server.
	SameServer bool
}

// Check returns what is wrong with a catalog.
func Check(c *Catalog, o CheckOptions) []*pipeline.Finding { return nil }
