package explain

// catalogEntries are about the function catalog: what is read from the
// TypeScript sources before the build.
var catalogEntries = []Entry{
	{
		Code:    "catalog-both-indexes",
		Title:   "a function is in the host's and the cluster's index",
		Cause:   "Both workers register with one server under their own apps, so that every event starts the function twice.",
		Remedy:  "Keep it in one index: index.cluster.ts, unless it needs the host.",
		Aliases: []string{"in both indexes", "registered twice by host and cluster"},
	},
	{
		Code:    "catalog-cron",
		Title:   "a cron expression is not valid",
		Cause:   "Inngest takes five fields and an optional TZ= before them. What it cannot read never runs, without a word.",
		Remedy:  "Correct it where it is written.",
		Aliases: []string{"invalid cron expression", "cron expression"},
		Docs:    []string{"https://www.inngest.com/docs/guides/scheduled-functions"},
	},
	{
		Code:   "catalog-duplicate-id",
		Title:  "two functions of one index have the same id",
		Cause:  "An app knows a function by its id: the second replaces the first, and its triggers with it.",
		Remedy: "Give each an id of its own. A renamed function is a new one: runs of the old one that wait or sleep do not continue in it.",
	},
	{
		Code:   "catalog-id",
		Title:  "Inngest will rewrite or refuse this id",
		Cause:  "Ids become slugs: lower case, with '-' for what is not a letter or digit. An id that is not one already is called otherwise on the server than in the source.",
		Remedy: "Write it as the slug that it becomes.",
	},
	{
		Code:    "catalog-not-indexed",
		Title:   "a function is in no index: it will be missing after the deploy",
		Symptom: "Function missing after deploy.",
		Cause:   "It is created in a file that neither index.host.ts nor index.cluster.ts exports. The worker never learns of it.",
		Remedy:  "Export it from the index of the worker that is to run it. gh sbw functions shows what each index will register, before anything is built.",
		Aliases: []string{"function missing after deploy", "not in index file", "new function does not appear", "index.cluster.ts", "index.host.ts"},
	},
	{
		Code:   "catalog-shared-trigger",
		Title:  "functions of different workers have the same trigger",
		Cause:  "Every event starts both. That may be meant.",
		Remedy: "If it is, set the check to off in .sbw.yaml (catalog.checks). If not, keep the trigger in one.",
	},
	{
		Code:   "catalog-undecided",
		Title:  "the sources leave open what is registered",
		Cause:  "A function is made in a way that cannot be told without running it: an id computed at run time, a list read from elsewhere. It is named rather than guessed.",
		Remedy: "Write it with constants where you can. Else the rollout takes the worker's own word, after the switch.",
	},
	{
		Code:    "catalog-zero-retries",
		Title:   "retries: 0 in the sources",
		Cause:   "A restart of the worker while a step runs kills such a run for good (ADR-0156). With retries of 1 or more the step runs again on the new pod.",
		Remedy:  "retries: 2, or allow it by name with a reason in .sbw.yaml: allow.zeroRetries.ID.",
		Aliases: []string{"ADR-0156 retries", "retries: 0 in source"},
	},
}
