package explain

// catalogEntries are about the function catalog: what is read from the
// TypeScript sources before the build.
var catalogEntries = []Entry{
	{
		Code:   "catalog-absent",
		Title:  "the image carries no function catalog",
		Cause:  "It was built by something else than gh sbw publish, or by a version from before the catalog, or has no Inngest functions.",
		Remedy: "Publish it with gh sbw publish.",
	},
	{
		Code:   "catalog-allow-unused",
		Title:  "an exception is not needed any more",
		Cause:  "allow.zeroRetries names a function that has retries, or that is gone.",
		Remedy: "Remove the line from .sbw.yaml.",
	},
	{
		Code:   "catalog-check-unknown",
		Title:  "catalog.checks sets what is not there",
		Cause:  "There is no check of that name, or the severity is none.",
		Remedy: "Use a code that gh sbw explain lists under catalog-…, with error, warning, note or off.",
	},
	{
		Code:    "catalog-cron-invalid",
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
		Code:   "catalog-empty",
		Title:  "no Inngest functions were found",
		Cause:  "None of the index modules is there, or none leads to a createFunction.",
		Remedy: "Name the modules whose exports the worker registers as catalog.indexes in .sbw.yaml.",
	},
	{
		Code:   "catalog-function-refused",
		Title:  "Inngest refuses this function",
		Cause:  "The server refuses a whole registration for one function that it cannot take: one without a trigger, or with more of something than it allows.",
		Remedy: "Correct the options of createFunction at the place that is named.",
	},
	{
		Code:   "catalog-function-throws",
		Title:  "the SDK does not take this call of createFunction",
		Cause:  "The installed version of the SDK wants another form: version 3 takes triggers as the second argument, version 4 in the options. The worker ends as it starts.",
		Remedy: "Write the call in the form of the version that package.json names.",
	},
	{
		Code:   "catalog-id-failure",
		Title:  "an id ends as the SDK's own failure handlers do",
		Cause:  "The SDK registers an onFailure handler as a function of its own whose id ends in -failure: one of yours that ends so can be taken for it, or collide with it.",
		Remedy: "Give the function another id.",
	},
	{
		Code:   "catalog-id-refused",
		Title:  "Inngest will rewrite or refuse this id",
		Cause:  "Ids become slugs: lower case, with '-' for what is not a letter or digit. An id that is not one already is called otherwise on the server than in the source.",
		Remedy: "Write it as the slug that it becomes.",
	},
	{
		Code:    "catalog-orphan",
		Title:   "a function is in no index: it will be missing after the deploy",
		Symptom: "Function missing after deploy.",
		Cause:   "It is created in a file that neither index.host.ts nor index.cluster.ts exports. The worker never learns of it.",
		Remedy:  "Export it from the index of the worker that is to run it. gh sbw functions shows what each index will register, before anything is built.",
		Aliases: []string{"function missing after deploy", "not in index file", "new function does not appear", "index.cluster.ts", "index.host.ts"},
	},
	{
		Code:   "catalog-retries-lowered",
		Title:  "more retries are asked for than the server gives",
		Cause:  "The server takes at most 20 retries and lowers what is above without a word.",
		Remedy: "Write 20 or less.",
	},
	{
		Code:   "catalog-shared-cron",
		Title:  "functions of two workers have the same schedule",
		Cause:  "Both start at each tick. That is well when they do different things.",
		Remedy: "Nothing, or leave the schedule to one of them.",
	},
	{
		Code:    "catalog-shared-function",
		Title:   "a function is in the host's and the cluster's index",
		Cause:   "Both workers register with one server under their own apps, so that every event starts the function twice.",
		Remedy:  "Keep it in one index: index.cluster.ts, unless it needs the host.",
		Aliases: []string{"in both indexes", "registered twice by host and cluster"},
	},
	{
		Code:   "catalog-shared-trigger",
		Title:  "functions of different workers have the same trigger",
		Cause:  "Every event starts both. That may be meant.",
		Remedy: "If it is, set the check to off in .sbw.yaml (catalog.checks). If not, keep the trigger in one.",
	},
	{
		Code:   "catalog-unreadable",
		Title:  "the image's function catalog cannot be read",
		Cause:  "It was written by a later version, or the label was damaged.",
		Remedy: "Upgrade kubectl sbw. The rollout goes by what the worker itself says.",
	},
	{
		Code:   "catalog-unresolved",
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
