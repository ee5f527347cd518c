package explain

const selfHosting = "https://www.inngest.com/docs/self-hosting"

// inngestServerEntries are about reaching the Inngest server and the worker,
// and about the keys between them.
var inngestServerEntries = []Entry{
	{
		Code:   "inngest-event-key",
		Title:  "the server does not take the event key",
		Cause:  "Events are sent to /e/KEY, and the server was started with other --event-key values.",
		Remedy: "Use one of them: INNGEST_EVENT_KEY of the worker.",
		Docs:   []string{selfHosting},
	},
	{
		Code:   "inngest-key-needed",
		Title:  "the server wants the signing key",
		Cause:  "It was started with --no-ui, so that only routes with authentication are left.",
		Remedy: "Let kubectl read the worker's Secret (get on secrets), or give --signing-key-from.",
	},
	{
		Code:    "inngest-key-refused",
		Title:   "the server does not take the signing key",
		Symptom: "401 Authentication failed",
		Cause:   "The key in the worker's environment is another than the server's --signing-key.",
		Remedy:  "Make them equal: an even number of hexadecimal digits, the same on both sides.",
		Aliases: []string{"Authentication failed"},
		Docs:    []string{selfHosting},
	},
	{
		Code:   "inngest-no-ui",
		Title:  "this server cannot do that",
		Cause:  "It was started with --no-ui, which switches its GraphQL off; runs, traces and deleting apps are only there.",
		Remedy: "Start it without --no-ui for the time of it.",
	},
	{
		Code:   "inngest-not-a-server",
		Title:  "what answers is no Inngest server",
		Cause:  "The address leads to something else: the connect gateway (8289) rather than the API (8288), the worker, or an ingress's default page.",
		Remedy: "Correct inngest.service and inngest.port in .sbw.yaml, or --inngest-url.",
	},
	{
		Code:   "inngest-refused",
		Title:  "the server did not do what it was asked",
		Cause:  "Its own words stand behind \"why\". Versions from 1.4 on are known; a newer one may have changed its schema.",
		Remedy: "See the server's log, and kubectl sbw status for what it has.",
	},
	{
		Code:    "inngest-register-failed",
		Title:   "the worker could not register with its server",
		Symptom: "Failed to register; …",
		Cause:   "The SDK in the worker posts its functions to INNGEST_BASE_URL and that failed: the server is down, or the address is not one that the pod can reach.",
		Remedy:  "Check INNGEST_BASE_URL in the Deployment (http://inngest-svc:8288), then kubectl sbw refresh.",
		Aliases: []string{"Failed to register", "INNGEST_BASE_URL"},
	},
	{
		Code:    "inngest-server-kind",
		Title:   "worker and server are of different kinds",
		Symptom: "Expected server kind cloud, got dev",
		Cause:   "inngest dev and inngest start speak differently about keys, and the SDK refuses the one that it was not told of. The refusal comes with HTTP 200.",
		Remedy:  "INNGEST_DEV=0 (or unset) in the worker for inngest start, INNGEST_DEV=1 for inngest dev.",
		Aliases: []string{"Expected server kind", "INNGEST_DEV", "server kind"},
	},
	{
		Code:    "inngest-unreachable",
		Title:   "the Inngest server does not answer",
		Cause:   "Its pod is not ready, the Service is another, or the port-forward broke.",
		Remedy:  "kubectl get pods, -n its namespace; or give --inngest-url.",
		Aliases: []string{"inngest-svc", "8288"},
	},
	{
		Code:   "inngest-url",
		Title:  "not an address of a server",
		Cause:  "--inngest-url, or inngest.url, has to be http://HOST:PORT or https://….",
		Remedy: "Correct it, or leave it out: the Service is reached by a port-forward.",
	},
	{
		Code:    "inngest-wrong-signing-key",
		Title:   "the signing keys of worker and server differ",
		Symptom: "Failed to register; … status code: 401; invalid signature; runs that fail with \"unauthorized\".",
		Cause:   "Both sides sign what they send with the key: --signing-key of the server, INNGEST_SIGNING_KEY of the worker. One of them is missing or another one. A Secret that was changed reaches a pod only by a restart. Clocks may differ by at most five minutes.",
		Remedy:  "Set the same key on both sides and restart the worker's pods.",
		Aliases: []string{"invalid_signing_key", "missing_signing_key", "Invalid signature", "No x-inngest-signature provided", "Signature has expired", "status code: 401", "Failed to register … status code: 401"},
		Docs:    []string{selfHosting, "https://www.inngest.com/docs/platform/signing-keys"},
	},
	{
		Code:   "worker-key-needed",
		Title:  "the worker answers only signed requests, and there is no key",
		Cause:  "The key is read from the worker's own environment in the cluster; RBAC did not let it be read.",
		Remedy: "Grant get on secrets in the namespace, or give --signing-key-from.",
	},
	{
		Code:   "worker-key-refused",
		Title:  "the worker does not take the signature",
		Cause:  "The key that was used is not the worker's, or the clocks differ by more than five minutes.",
		Remedy: "Use INNGEST_SIGNING_KEY of its container, or --signing-key-from.",
	},
	{
		Code:   "worker-no-in-band",
		Title:  "the worker does not show its functions, it only registers them",
		Cause:  "The SDK's in-band sync, by which functions can be read without registering, is switched off in it.",
		Remedy: "Unset INNGEST_ALLOW_IN_BAND_SYNC in the Deployment, or go without this check.",
	},
	{
		Code:    "worker-not-an-sdk",
		Title:   "no Inngest SDK answers at that path",
		Cause:   "The worker serves it elsewhere than /api/inngest, or on another port.",
		Remedy:  "Set inngest.path and probe.port in .sbw.yaml.",
		Aliases: []string{"/api/inngest"},
	},
	{
		Code:   "worker-unreachable",
		Title:  "the worker does not answer",
		Cause:  "Its pod is not ready, or does not listen on the port.",
		Remedy: "kubectl sbw status; see probe-unreachable.",
	},
	{
		Code:   "worker-url",
		Title:  "not an address of a worker",
		Cause:  "inngest.host of .sbw.yaml, under which the server reaches the worker, has to be http://SERVICE:PORT.",
		Remedy: "Correct it, or leave it out: INNGEST_SERVE_HOST of the container or its Service is taken.",
	},
}
