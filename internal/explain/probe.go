package explain

// probeEntries are about asking the new pods themselves.
var probeEntries = []Entry{
	{
		Code:    "probe-duplicates",
		Title:   "the worker registers two functions with the same id",
		Cause:   "Its health page reports hasDuplicateFunctionIds. Of two functions with one id, the server keeps only one.",
		Remedy:  "Give each function its own id, or list it in one index only. gh sbw functions finds this before the build.",
		Example: "gh sbw functions",
		Aliases: []string{"hasDuplicateFunctionIds", "duplicateFunctionIds"},
	},
	{
		Code:    "probe-expect",
		Title:   "the pod's answer does not contain the expected text",
		Cause:   "The text in probe.expect of .sbw.yaml, or in --probe-expect, is not in the page. It may be another version, or another program on that port.",
		Remedy:  "Look at the page that the finding quotes, and correct the text or the path.",
		Example: "kubectl sbw rollout --tag TAG --probe-expect healthy",
	},
	{
		Code:    "probe-forbidden",
		Title:   "you do not have permission to reach the pods",
		Cause:   "sbw reaches pods through the API server, which requires get on pods/proxy or create on pods/portforward.",
		Remedy:  "Ask for one of them. The Role in the README contains both.",
		Example: "kubectl auth can-i get pods/proxy\nkubectl auth can-i create pods/portforward",
	},
	{
		Code:    "probe-image",
		Title:   "the pod does not run the image that was shipped",
		Cause:   "Its imageID has another digest. Either the tag was moved and the node kept the old image (imagePullPolicy: IfNotPresent), or a mutating webhook changed the reference.",
		Remedy:  "Roll out by digest, which is the default without --no-pin.",
		Example: "kubectl get pods -o jsonpath='{range .items[*]}{.metadata.name}{\"\\t\"}{.status.containerStatuses[*].imageID}{\"\\n\"}{end}'",
	},
	{
		Code:    "probe-no-pods",
		Title:   "the new revision has no pod to probe",
		Cause:   "The workload is scaled to 0, or its pods were deleted right after they became ready.",
		Remedy:  "Scale it up with kubectl scale --replicas=1, then look at kubectl sbw status.",
		Example: "kubectl scale deployment/NAME --replicas=1\nkubectl sbw status",
	},
	{
		Code:    "probe-path",
		Title:   "this is not a valid path for the probe",
		Cause:   "probe.path in .sbw.yaml, or --probe-path, must start with / and be the path of a URL.",
		Remedy:  "Correct the path.",
		Example: "probe: {path: /healthz, port: 3111}",
	},
	{
		Code:    "probe-port",
		Title:   "the container does not declare the port that will be probed",
		Cause:   "The manifest's container lists other ports. Listing them is optional, so the worker may answer all the same, but more often probe.port is still the default, 3111.",
		Remedy:  "Set probe.port in .sbw.yaml to the port that the worker listens on. A worker that does not speak HTTP has probe: tcp, one that speaks HTTP/2 without TLS probe: {type: h2c}, and one that listens on no port probe: none.",
		Example: "probe: {type: tcp, port: 9080}",
	},
	{
		Code:    "probe-status",
		Title:   "the pod answers with an error",
		Cause:   "The page that was requested returned a status other than 2xx: the worker runs but is not healthy, or it serves nothing at that path.",
		Remedy:  "Its log may say why. --probe-path probes another path.",
		Example: "kubectl port-forward POD 3111\ncurl -i localhost:3111/",
	},
	{
		Code:    "probe-unreachable",
		Title:   "the pod does not answer on its port",
		Cause:   "The worker listens on another port, or only on 127.0.0.1, which cannot be reached from outside the container.",
		Remedy:  "Listen on 0.0.0.0 (or ::), and set probe.port to the port. If the worker speaks something other than HTTP/1.1, set probe.type: h2c for HTTP/2 without TLS, tcp for any open port, none for a worker that listens on none.",
		Example: "Bun.serve({ hostname: \"0.0.0.0\", port: 3111, fetch })",
		Aliases: []string{"error trying to reach service"},
	},
}
