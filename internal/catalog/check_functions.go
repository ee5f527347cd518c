package catalog

import (
	"fmt"
	"slices"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// These are the server's limits (inngest: pkg/consts/consts.go,
// pkg/inngest/trigger.go).
const (
	maxRetries     = 20
	maxTriggers    = 10
	maxConcurrency = 2
	maxNameLength  = 255 // of the name of an event, or of a cron expression
	minBatch       = 2   // pkg/inngest/batch.go
)

// registrationFails is the effect of one invalid function on the server
// (pkg/devserver/api.go: "At least one function is invalid").
const registrationFails = "the server refuses the whole registration because of it, and with it every function"

func zeroRetries(c *Catalog, o CheckOptions) []*pipeline.Finding {
	var found []*pipeline.Finding
	for _, f := range c.all() {
		if f.undecided("retries") || f.Retries.Value > 0 {
			continue
		}
		fix := fmt.Sprintf("set retries to 1 or more, or allow it with a reason: allow.zeroRetries.%s in .sbw.yaml", f.ID)
		if f.undecided("id") {
			fix = "set retries to 1 or more"
		}
		reason, allowed := o.ZeroRetries[f.ID]
		switch {
		case allowed && strings.TrimSpace(reason) == "":
			found = append(found, finding(f, fmt.Sprintf("%s has retries: 0, allowed without a reason", quoted(f.ID)),
				"the next reader cannot know whether the allowance is still needed", "give the reason at allow.zeroRetries."+f.ID+" in .sbw.yaml"))
		case !allowed:
			found = append(found, finding(f, fmt.Sprintf("%s has retries: %d", quoted(f.ID), f.Retries.Value),
				"one request that is refused while the worker restarts fails its run for good (ADR-0156)", fix))
		}
	}
	return found
}

func unusedAllowances(c *Catalog, o CheckOptions) []*pipeline.Finding {
	var found []*pipeline.Finding
	all := c.all()
	for _, id := range sortedKeys(o.ZeroRetries) {
		if !slices.ContainsFunc(all, func(f Function) bool {
			return f.ID == id && (f.Retries.Value <= 0 || f.undecided("retries"))
		}) {
			found = append(found, &pipeline.Finding{
				What: fmt.Sprintf("allow.zeroRetries names %q", id), Why: "no function with that id has retries: 0",
				Fix: "remove it", Where: ".sbw.yaml",
			})
		}
	}
	return found
}

// duplicateIDs: the SDK's handler throws `Duplicate function ID` when it is
// created, so the worker does not start (components/InngestCommHandler.ts). It
// compares the app's id and the function's id within one handler. A failure
// handler has an id as well.
func duplicateIDs(c *Catalog, _ CheckOptions) []*pipeline.Finding {
	var found []*pipeline.Finding
	for _, index := range c.Indexes {
		type key struct {
			handler int
			app, id string
		}
		taken := map[key]Function{}
		for _, f := range index.Functions {
			for _, id := range f.registers() {
				k := key{f.Handler, f.App, id}
				other, dup := taken[k]
				if !dup {
					taken[k] = f
					continue
				}
				what := fmt.Sprintf("the id %q is used twice in %s", id, index.Path)
				if id != f.ID || id != other.ID {
					what += ", once as the failure handler of another function"
				}
				d := finding(f, what, "the worker throws `Duplicate function ID` and does not start", "give one of them another id")
				d.Evidence = append(d.Evidence, "the other one is at "+where(other))
				if other.Via != "" {
					d.Evidence = append(d.Evidence, "made by the call at "+other.Via)
				}
				found = append(found, d)
			}
		}
	}
	return found
}

// registers returns the ids that one function registers.
func (f Function) registers() []string {
	if f.OnFailure {
		return []string{f.ID, f.ID + failureSuffix}
	}
	return []string{f.ID}
}

// failureSuffix is the suffix that the SDK (InngestFunction.failureSuffix) and
// the server (inngest.GetFailureHandlerSlug) use.
const failureSuffix = "-failure"

// throwing reports calls in the form of another version of the SDK.
func throwing(c *Catalog, _ CheckOptions) []*pipeline.Finding {
	var found []*pipeline.Finding
	for _, f := range c.all() {
		if f.Throws != "" {
			found = append(found, finding(f, "creating "+quoted(f.ID)+" throws, and the worker does not start", f.Throws,
				"write it in the form of the SDK that package.json asks for"))
		}
	}
	return found
}

func refusedIDs(c *Catalog, _ CheckOptions) []*pipeline.Finding {
	var found []*pipeline.Finding
	for _, f := range c.all() {
		switch {
		case f.undecided("id"):
		case f.ID == "":
			// InngestFunction.id: [prefix, this.opts.id].filter(Boolean).join("-").
			found = append(found, finding(f, "a function has no id", "the SDK registers it under the app's id alone", "give it an id"))
		case f.OnFailure && strings.ContainsAny(f.ID, "'\\\n\r"):
			// getConfig: `event.data.function_id == '${fnId}'`, a CEL expression.
			found = append(found, finding(f, fmt.Sprintf("the id %q breaks the expression of its own failure handler", f.ID),
				"the SDK puts it between single quotes, and "+registrationFails, "leave quotes, backslashes and line ends out of the id"))
		}
	}
	return found
}

func failureIDs(c *Catalog, _ CheckOptions) []*pipeline.Finding {
	var found []*pipeline.Finding
	for _, f := range c.all() {
		if strings.HasSuffix(f.ID, failureSuffix) {
			found = append(found, finding(f, fmt.Sprintf("the id %q ends in %s", f.ID, failureSuffix),
				"Inngest gives such ids to generated failure handlers, and treats the function as one", "give it another id"))
		}
	}
	return found
}

func loweredRetries(c *Catalog, _ CheckOptions) []*pipeline.Finding {
	var found []*pipeline.Finding
	for _, f := range c.all() {
		if f.Retries.Value > maxRetries && !f.undecided("retries") {
			found = append(found, finding(f, fmt.Sprintf("%s has retries: %d", quoted(f.ID), f.Retries.Value),
				fmt.Sprintf("Inngest lowers it to %d without a warning", maxRetries), fmt.Sprintf("set retries to %d or less", maxRetries)))
		}
	}
	return found
}

// refusedFunctions reports everything except schedules that the server's
// Function.Validate (pkg/inngest) refuses.
func refusedFunctions(c *Catalog, _ CheckOptions) []*pipeline.Finding {
	var found []*pipeline.Finding
	for _, f := range c.all() {
		refuse := func(fix, format string, args ...any) {
			found = append(found, finding(f, quoted(f.ID)+" "+fmt.Sprintf(format, args...), registrationFails, fix))
		}
		if n := len(f.Triggers); n > maxTriggers {
			refuse(fmt.Sprintf("split it, so that each part has at most %d", maxTriggers), "has %d triggers", n)
		}
		if n := len(f.Concurrency); n > maxConcurrency {
			refuse(fmt.Sprintf("leave at most %d", maxConcurrency), "has %d concurrency limits", n)
		}
		f.refuseBatch(refuse)
		for i, t := range f.Triggers {
			if t.Event == "" && t.Cron == "" {
				refuse("check the constant that the trigger is made of", "has a trigger with neither an event nor a schedule")
				continue
			}
			if slices.Contains(f.Triggers[:i], t) ||
				t.Cron != "" && slices.ContainsFunc(f.Triggers[:i], func(o Trigger) bool { return o.Cron == t.Cron }) {
				refuse("remove one of them", "has the trigger %s twice", t)
			}
			if len(t.Event) > maxNameLength {
				refuse(
					fmt.Sprintf("give the event a name of at most %d bytes", maxNameLength),
					"listens to an event whose name has %d bytes",
					len(t.Event),
				)
			}
			if t.Event != "" && t.Cron != "" {
				refuse("split it into two triggers", "has a trigger with both an event and a schedule")
			}
		}
	}
	return found
}

// refuseBatch checks batches like the server's batch.go and Function.Validate.
func (f Function) refuseBatch(refuse func(fix, format string, args ...any)) {
	if f.Batch == nil {
		return
	}
	if f.Batch.MaxSize < minBatch {
		refuse(fmt.Sprintf("set batchEvents.maxSize to %d or more", minBatch), "batches events with maxSize %d", f.Batch.MaxSize)
	}
	for _, option := range f.Batch.With {
		refuse("remove one of the two", "combines batchEvents with %s", option)
	}
}

// These versions of the JavaScript SDK may not register with current servers,
// because of CVE-2026-42047 (inngest: pkg/deploy/deploy.go,
// HasBlockedSDKVersion).
var refusedFrom, refusedTo = [3]int{3, 22, 0}, [3]int{3, 53, 1}

// refusedSDKs reports them if the version is exact. The version that a range
// results in is not known before the installation.
func refusedSDKs(c *Catalog, _ CheckOptions) []*pipeline.Finding {
	var found []*pipeline.Finding
	seen := map[string]bool{}
	for _, i := range c.Indexes {
		var v [3]int
		if n, err := fmt.Sscanf(i.SDK, "%d.%d.%d", &v[0], &v[1], &v[2]); err != nil || n != 3 || seen[i.SDK] {
			continue
		}
		if slices.Compare(v[:], refusedFrom[:]) < 0 || slices.Compare(v[:], refusedTo[:]) > 0 {
			continue
		}
		seen[i.SDK] = true
		found = append(found, &pipeline.Finding{
			What: fmt.Sprintf("the worker uses version %s of the inngest SDK", i.SDK),
			Why:  "it has a known security hole (CVE-2026-42047), for which current Inngest servers refuse to register it",
			Fix:  "upgrade inngest to 3.54.0 or later", Where: i.Path,
		})
	}
	return found
}

func invalidCrons(c *Catalog, _ CheckOptions) []*pipeline.Finding {
	var found []*pipeline.Finding
	for _, f := range c.all() {
		for _, t := range f.Triggers {
			if t.Cron == "" {
				continue
			}
			if err := ValidateCron(t.Cron); err != nil {
				d := finding(
					f,
					fmt.Sprintf("%s has the schedule %q, which is invalid", quoted(f.ID), t.Cron),
					fmt.Sprintf(
						"%v; %s",
						err,
						registrationFails,
					),
					"write minute, hour, day of month, month and day of week, after TZ=Zone if it needs a time zone",
				)
				d.Err = err
				found = append(found, d)
			}
		}
	}
	return found
}
