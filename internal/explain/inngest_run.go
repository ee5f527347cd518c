package explain

const retriesDoc = "https://www.inngest.com/docs/features/inngest-functions/error-retries/retries"

// inngestRunEntries are about runs, and what a restart does to them.
var inngestRunEntries = []Entry{
	{
		Code:   "inngest-confirm-event",
		Title:  "no function listens to this event",
		Cause:  "--confirm-run names an event that nothing of the app is triggered by.",
		Remedy: "Send one of those that are listed.",
	},
	{
		Code:   "inngest-confirm-failed",
		Title:  "the run that was to prove the rollout failed",
		Cause:  "The event was sent, its run went through the new pod and did not end well.",
		Remedy: "See the worker's log for the run; kubectl sbw undo goes back to the image before.",
	},
	{
		Code:   "inngest-confirm-unfinished",
		Title:  "the run that was to prove the rollout did not end in time",
		Cause:  "No run of the app appeared, or it is still running: a queue that is full, a concurrency limit, a long step.",
		Remedy: "kubectl sbw runs; see the server's log.",
	},
	{
		Code:   "inngest-crons-silent",
		Title:  "schedules did not run",
		Cause:  "The server reads schedules anew only when a registration changes something. One that it lost stays lost through registrations that change nothing.",
		Remedy: "kubectl sbw refresh --resync makes the next registration a full one.",
	},
	{
		Code:   "inngest-not-idle",
		Title:  "no gap without running steps came",
		Cause:  "--wait-idle waited, and a step was executing on the worker all the time.",
		Remedy: "Wait longer (--wait-idle=30m), allow young steps to be run again (--max-step-loss 30s), or go on with --force.",
	},
	{
		Code:    "inngest-runs-lost",
		Title:   "runs failed while the pods were replaced",
		Cause:   "Their step had no attempt left when the connection to the old pod broke.",
		Remedy:  "kubectl sbw rollout … --rerun-lost runs them again from their first step, or do it on the dashboard.",
		Aliases: []string{"--rerun-lost"},
	},
	{
		Code:    "inngest-sdk-unreachable",
		Title:   "the server could not reach the worker",
		Symptom: "Unable to reach SDK URL, in a run.",
		Cause:   "When the step was to be executed no pod answered at the app's URL: the worker was not ready yet, was being replaced, or is registered under a URL that is not right. The attempt counts, and is tried again after 15 s, 30 s, a minute and so on, if retries are left.",
		Remedy:  "Check that the pod is ready and that the URL is the worker's Service (kubectl sbw status); then kubectl sbw refresh. Run again what failed for good.",
		Aliases: []string{"Unable to reach SDK URL", "error performing request", "Your server reset the connection", "invalid status code: 503"},
	},
	{
		Code:   "inngest-step-delayed",
		Title:  "a running step will be delayed by the restart",
		Cause:  "It is executing on the pod that goes away, and has attempts left: it runs again on the new pod after 15 seconds or more. Steps that are done are not run again.",
		Remedy: "Nothing; or --wait-idle waits for a gap.",
	},
	{
		Code:   "inngest-step-killed",
		Title:  "a running step would be killed for good by the restart",
		Cause:  "Its function has no attempt left (retries 0, or the last one), so that its run ends as failed.",
		Remedy: "--wait-idle waits until it has ended; --force loses it.",
	},
	{
		Code:   "inngest-step-loss",
		Title:  "more of a step would be lost than is allowed",
		Cause:  "It has been executing longer than --max-step-loss, and would begin anew.",
		Remedy: "--wait-idle, a higher --max-step-loss, or --force.",
	},
	{
		Code:    "inngest-zero-retries",
		Title:   "a function has retries 0: a restart kills its runs",
		Symptom: "Runs stuck or failed after a deploy.",
		Cause:   "The worker keeps no state between steps, and a step that was cut off by a restart is run again on the new pod, if an attempt is left. With retries: 0 there is none, and the run is dead (ADR-0156).",
		Remedy:  "retries: 2 at least. One that must not be tried again can be allowed by name, with a reason, in .sbw.yaml: allow.zeroRetries.ID.",
		Aliases: []string{"runs stuck after deploy", "runs stuck", "retries: 0", "retries 0", "ADR-0156"},
		Docs:    []string{retriesDoc},
	},
	{
		Code:   "inngest-zero-retries-allowed",
		Title:  "a function has retries 0, as allowed",
		Cause:  ".sbw.yaml allows it, for the reason that is given there.",
		Remedy: "Nothing.",
	},
}
