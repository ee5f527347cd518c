package explain

const retriesDoc = "https://www.inngest.com/docs/features/inngest-functions/error-retries/retries"

// inngestRunEntries are about runs, and what a restart does to them.
var inngestRunEntries = []Entry{
	{
		Code:   "inngest-confirm-event",
		Title:  "no function listens to this event",
		Cause:  "--confirm-run names an event that triggers none of the app's functions.",
		Remedy: "Send one of the events that the finding lists.",
	},
	{
		Code:   "inngest-confirm-failed",
		Title:  "the run that should prove the rollout failed",
		Cause:  "The event was sent, and its run went through a new pod and failed.",
		Remedy: "Look for the run in the worker's log. kubectl sbw undo goes back to the previous image.",
	},
	{
		Code:   "inngest-confirm-unfinished",
		Title:  "the run that should prove the rollout did not finish in time",
		Cause:  "No run of the app appeared, or it is still running: the queue is full, a concurrency limit applies, or a step takes long.",
		Remedy: "Look at kubectl sbw runs and at the server's log.",
	},
	{
		Code:  "inngest-crons-orphaned",
		Title: "crons of deleted apps still run",
		Cause: "The server archives a deleted app and keeps the schedules of its functions (seen with 1.43), so it still calls a worker that is gone.",
		Remedy: "Restart the Inngest server: where its queue is in memory, it then schedules only the crons of registered apps. " +
			"Where its queue is in Redis, register the app once more without these functions, and delete it again. " +
			"End runs that wait with kubectl sbw runs --cancel RUN.",
	},
	{
		Code:    "inngest-crons-silent",
		Title:   "some schedules did not run",
		Cause:   "The server reads schedules again only if a registration changes something. A schedule that it has lost stays lost while registrations change nothing.",
		Remedy:  "Make the next registration a full one.",
		Example: "kubectl sbw refresh --resync",
	},
	{
		Code:   "inngest-crons-unproven",
		Title:  "it is not known whether crons are scheduled",
		Cause:  "The server does not list its schedules. Only a run proves one, and these have not been due since the app was registered or the server started.",
		Remedy: "Run kubectl sbw status after they were due: it reports crons that did not run.",
	},
	{
		Code:   "inngest-not-idle",
		Title:  "there was no moment without running steps",
		Cause:  "--wait-idle waited, but the worker was executing a step all the time.",
		Remedy: "Wait longer (--wait-idle=30m), allow young steps to run again (--max-step-loss 30s), or continue with --force.",
	},
	{
		Code:    "inngest-runs-lost",
		Title:   "some runs failed while the pods were replaced",
		Cause:   "Their steps had no attempt left when the connection to the old pod broke.",
		Remedy:  "Run them again from their first step with --rerun-lost, or on the dashboard.",
		Aliases: []string{"--rerun-lost"},
	},
	{
		Code:    "inngest-sdk-unreachable",
		Title:   "the server could not reach the worker",
		Symptom: "Unable to reach SDK URL, in a run.",
		Cause:   "When the step was due, no pod answered at the app's URL: the worker was not ready yet, was being replaced, or is registered under a wrong URL. The attempt counts. If retries are left, the server tries again after 15 s, 30 s, 1 m and so on.",
		Remedy:  "Check that the pod is ready and that the URL is the worker's Service (kubectl sbw status), then run kubectl sbw refresh. Run again what failed for good.",
		Aliases: []string{"Unable to reach SDK URL", "error performing request", "Your server reset the connection", "invalid status code: 503"},
	},
	{
		Code:   "inngest-step-cut-off",
		Title:  "every attempt of a step is cut off after the same time",
		Cause:  "Something closes requests that stay silent while the step runs. Under Bun that is idleTimeout of Bun.serve: 10 s by default, and 255 s at most. A step of five minutes never finishes, however often it is retried.",
		Remedy: "Set idleTimeout: 0 in Bun.serve, or let the SDK stream (streaming: \"force\" in serve), so that the connection does not stay silent.",
	},
	{
		Code:   "inngest-step-delayed",
		Title:  "the restart will delay a running step",
		Cause:  "The step is executing on a pod that will be replaced, and it has attempts left. It runs again on a new pod after 15 seconds or more. Steps that have finished do not run again.",
		Remedy: "You can ignore this, or wait for a gap with --wait-idle.",
	},
	{
		Code:   "inngest-step-ghost",
		Title:  "the server shows a step as running that cannot be running",
		Cause:  "It started before every container of the worker that still runs. The server keeps such a step when it, or the worker, was killed in the middle of it. A rollout cannot harm it.",
		Remedy: "End its run with kubectl sbw runs --cancel RUN, or start it again with kubectl sbw runs --rerun RUN.",
	},
	{
		Code:   "inngest-step-gone",
		Title:  "unfinished runs have begun a step that the new version lacks",
		Cause:  "A run that has not ended continues with the new version's code: its function is called from the start, and finds the results of finished steps by their ids. If an id is gone or renamed, the result is not found, and the work is done again under the new id. A sleep or wait begins again.",
		Remedy: "Keep the ids of steps in functions that have unfinished runs, or wait until these runs have ended: kubectl sbw runs lists them. With --strict, a rollout is refused.",
		Docs:   []string{"https://www.inngest.com/docs/learn/versioning"},
	},
	{
		Code:   "inngest-step-killed",
		Title:  "the restart would kill a running step for good",
		Cause:  "Its function has no attempt left (retries 0, or this is the last one), so the run would fail.",
		Remedy: "Wait until the step has finished with --wait-idle. --force accepts the loss.",
	},
	{
		Code:   "inngest-step-loss",
		Title:  "more of a step would be lost than allowed",
		Cause:  "It has been executing for longer than --max-step-loss and would start again from its beginning.",
		Remedy: "Use --wait-idle, a higher --max-step-loss, or --force.",
	},
	{
		Code:   "inngest-steps-unknown",
		Title:  "the steps of unfinished runs cannot be compared with the new version",
		Cause:  "Not all step ids of a function are known from its source: an id is worked out at run time, or step is passed to code that is not read. Or the image has no catalog of steps, or the server did not show the steps of these runs.",
		Remedy: "gh sbw functions -o json shows for each function which steps are known, and why they are open. Check by hand that no step that runs may have finished was renamed.",
	},
	{
		Code:    "inngest-zero-retries",
		Title:   "a function has retries 0, so a restart kills its runs",
		Symptom: "Runs stuck or failed after a deploy.",
		Cause:   "The worker keeps no state between steps. A step that a restart interrupts runs again on the new pod if an attempt is left. With retries: 0 there is none, and the run is lost (ADR-0156).",
		Remedy:  "Set retries to at least 2. A function that must not be retried can be allowed by name in .sbw.yaml, with a reason.",
		Example: "allow: {zeroRetries: {voice-canary: \"a canary; losing one is its signal\"}}",
		Aliases: []string{"runs stuck after deploy", "runs stuck", "retries: 0", "retries 0", "ADR-0156"},
		Docs:    []string{retriesDoc},
	},
	{
		Code:   "inngest-zero-retries-allowed",
		Title:  "a function has retries 0, which is allowed",
		Cause:  ".sbw.yaml allows it, for the reason that is given there.",
		Remedy: "You can ignore this.",
	},
}
