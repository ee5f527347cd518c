package explain

// probeEntries are about asking the new pods themselves.
var probeEntries = []Entry{
	{
		Code:   "probe-duplicates",
		Title:  "the worker registers functions with the same id twice",
		Cause:  "Its health page says hasDuplicateFunctionIds: of two functions with one id the server keeps one.",
		Remedy: "Give each an id of its own, or list it in one index only. gh sbw functions finds it before the build.",
		Aliases: []string{
			"hasDuplicateFunctionIds", "duplicateFunctionIds",
		},
	},
	{
		Code:   "probe-expect",
		Title:  "the pod answers, and not with the expected text",
		Cause:  "probe.expect of .sbw.yaml, or --probe-expect, is not in the page. It may be another version, or another service on that port.",
		Remedy: "Look at the page that is quoted; correct the text or the path.",
	},
	{
		Code:   "probe-forbidden",
		Title:  "no right to ask the pods",
		Cause:  "Pods are asked through the API server, which takes get on pods/proxy, or create on pods/portforward.",
		Remedy: "Ask for one of them; the README's Role has both.",
	},
	{
		Code:   "probe-image",
		Title:  "the pod does not run the image that was shipped",
		Cause:  "Its imageID is of another digest: a tag was moved, and the node kept the old image (imagePullPolicy: IfNotPresent), or a mutating webhook rewrote the reference.",
		Remedy: "Roll out by digest, as is the default (without --no-pin).",
	},
	{
		Code:   "probe-no-pods",
		Title:  "there is no pod of the new revision to ask",
		Cause:  "The workload is scaled to 0, or its pods were deleted right after they were ready.",
		Remedy: "kubectl scale --replicas=1; kubectl sbw status.",
	},
	{
		Code:   "probe-path",
		Title:  "not a path that can be asked for",
		Cause:  "probe.path of .sbw.yaml, or --probe-path, has to begin with / and be a path of a URL.",
		Remedy: "Correct it.",
	},
	{
		Code:   "probe-status",
		Title:  "the pod answers with an error",
		Cause:  "Another status than 2xx on its page: the worker runs and is not well, or has nothing at that path.",
		Remedy: "Its log may say why; --probe-path asks another path.",
	},
	{
		Code:    "probe-unreachable",
		Title:   "the pod does not answer on its port",
		Cause:   "The worker listens on another port, or on 127.0.0.1 alone, where only the container itself can reach it.",
		Remedy:  "Listen on 0.0.0.0 (or ::); set probe.port to the port.",
		Aliases: []string{"error trying to reach service", "connect: connection refused probe"},
	},
}
