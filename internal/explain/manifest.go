package explain

// manifestEntries are about the file that is stamped and applied.
var manifestEntries = []Entry{
	{
		Code:   "container-unknown",
		Title:  "the workload has no container by that name",
		Cause:  "deploy.container of .sbw.yaml is not among them.",
		Remedy: "Set it to one of those that are listed.",
	},
	{
		Code:   "manifest-also",
		Title:  "another container has an image of the same repository",
		Cause:  "The manifest runs this image twice (an init container, a second workload), and only the named one is stamped.",
		Remedy: "If it is to move along, change it by hand. sbw changes no byte that it was not told to.",
	},
	{
		Code:   "manifest-ambiguous",
		Title:  "the manifest has the workload twice",
		Cause:  "Two objects of the same kind and name, in one namespace or without one.",
		Remedy: "Remove one, or give each its metadata.namespace.",
	},
	{
		Code:   "manifest-changed",
		Title:  "the manifest was edited while the rollout ran",
		Cause:  "When the rollout was put back, the image in the file was no longer the one that had been written. Somebody's edit is not overwritten.",
		Remedy: "Look at the line; write the earlier image there if it should name what runs.",
	},
	{
		Code:   "manifest-duplicate-key",
		Title:  "a key is written twice in one place",
		Cause:  "YAML forbids it and readers differ in which one they take.",
		Remedy: "Remove all but one.",
	},
	{
		Code:   "manifest-encoding",
		Title:  "the manifest is not UTF-8",
		Cause:  "It was saved as UTF-16, as some Windows editors and PowerShell's > do.",
		Remedy: "Save it as UTF-8.",
	},
	{
		Code:   "manifest-image-form",
		Title:  "the image is written in a way that cannot be replaced alone",
		Cause:  "A block scalar, several lines, or a tag before it: changing it would change bytes around it.",
		Remedy: "Write it on one line: image: REPOSITORY:TAG.",
	},
	{
		Code:   "manifest-image-ref",
		Title:  "not an image reference",
		Cause:  "What is to be written into the manifest has no form of one.",
		Remedy: "REPOSITORY:TAG, or REPOSITORY:TAG@sha256:….",
	},
	{
		Code:    "manifest-kind",
		Title:   "the cluster does not know a kind of the manifest",
		Symptom: "no matches for kind \"X\" in version \"y/v1\"",
		Cause:   "Its CustomResourceDefinition is not installed, or the API version has gone.",
		Remedy:  "Install it, or correct apiVersion and kind.",
		Aliases: []string{"no matches for kind", "resource mapping not found"},
	},
	{
		Code:    "manifest-kustomize",
		Title:   "the kustomization cannot be built",
		Cause:   "A resource that is not there, a patch that fits nothing, or a kustomization.yaml with a mistake.",
		Remedy:  "kubectl kustomize DIR shows the same.",
		Aliases: []string{"accumulating resources", "kustomization.yaml"},
	},
	{
		Code:   "manifest-left",
		Title:  "the manifest names another image than the one that ran, and an undo leaves it",
		Cause:  "The file was edited since, or the rollout was told --no-write: putting the older image there would lose what somebody wants to ship.",
		Remedy: "Write the image that runs there, if the file should name what runs.",
	},
	{
		Code:   "manifest-missing",
		Title:  "the manifest is not there",
		Cause:  "deploy.manifest of .sbw.yaml is relative to the repository's root; a teammate without the checkout has none.",
		Remedy: "Give it with -f, or change the live workload alone with --image-only.",
	},
	{
		Code:   "manifest-no-container",
		Title:  "the workload in the manifest has no such container",
		Cause:  "deploy.container of .sbw.yaml is not among its containers.",
		Remedy: "Set it to one of those that are listed.",
	},
	{
		Code:   "manifest-no-image",
		Title:  "the container has no image to stamp",
		Cause:  "The line is not there, or empty: something else fills it in.",
		Remedy: "Write any image there once; from then on it is kept up to date.",
	},
	{
		Code:   "manifest-no-workload",
		Title:  "the manifest does not have the workload",
		Cause:  "The file is another one, or kind, name or namespace differ from .sbw.yaml.",
		Remedy: "Name the file with -f, or correct deploy in .sbw.yaml.",
	},
	{
		Code:   "manifest-not-a-file",
		Title:  "this manifest is no file that could be stamped",
		Cause:  "Standard input and addresses on the web cannot be written back to.",
		Remedy: "Save it to a file and name that with -f.",
	},
	{
		Code:   "manifest-not-found",
		Title:  "the manifest cannot be read",
		Cause:  "The path is wrong (deploy.manifest of .sbw.yaml is relative to the repository's root), or its permissions are.",
		Remedy: "Name another with -f, or change the live workload alone with --image-only.",
	},
	{
		Code:   "manifest-not-written",
		Title:  "the manifest could not be written",
		Cause:  "Its directory is read-only, the disk is full, or it belongs to somebody else. The file is unchanged: it is replaced as a whole, or not at all.",
		Remedy: "Make the directory writable for you, or use --no-write, which applies the stamped text all the same.",
	},
	{
		Code:    "manifest-not-yaml",
		Title:   "the manifest is neither YAML nor JSON",
		Cause:   "The parser stopped at the line that is named; tabs as indentation and a lost quote are the usual ones.",
		Remedy:  "Mend it; kubectl apply --dry-run=client -f FILE reads it the same way.",
		Aliases: []string{"error converting YAML to JSON", "found character that cannot start any token", "mapping values are not allowed in this context"},
	},
	{
		Code:   "manifest-outside",
		Title:  "the image is set outside of the kustomization's directory",
		Cause:  "It comes from a base that others build on as well; stamping that would change theirs.",
		Remedy: "Set it in this overlay: an images: entry in its kustomization.yaml, which is then kept up to date.",
	},
	{
		Code:   "manifest-shared-image",
		Title:  "the image is shared by anchor and alias",
		Cause:  "Changing it in one place would change it in all that refer to it.",
		Remedy: "Write this container's image out.",
	},
	{
		Code:   "manifest-target",
		Title:  "the manifest does not hold what is to be rolled out",
		Cause:  "What was loaded has no object of that kind, name and namespace.",
		Remedy: "Correct deploy in .sbw.yaml, or give the right file with -f.",
	},
	{
		Code:   "manifest-template",
		Title:  "the image is a template's placeholder",
		Cause:  "A template engine (Helm, envsubst) fills it in; stamping would overwrite what it needs.",
		Remedy: "Give the rendered file with -f, or change the live workload alone with --image-only.",
	},
	{
		Code:   "manifest-unreadable",
		Title:  "the manifest cannot be read",
		Cause:  "No such file, no object in it, or a kustomization that does not build.",
		Remedy: "kubectl apply --dry-run=client -f FILE (or -k DIR) shows the same.",
	},
}

// applyEntries are about changing the cluster, and going back.
var applyEntries = []Entry{
	{
		Code:    "apply-conflict",
		Title:   "another manager owns fields of the manifest",
		Symptom: "Apply failed with 1 conflict: conflict with \"x\": .spec.replicas",
		Cause:   "By server-side apply each field has an owner. One that an autoscaler, an operator or kubectl edit has set is theirs.",
		Remedy:  "Leave the field out of the manifest, or take it with --force-conflicts. What kubectl apply owned is taken over without a conflict.",
		Aliases: []string{"Apply failed with", "conflict with", "server-side apply conflict"},
		Docs:    []string{"https://kubernetes.io/docs/reference/using-api/server-side-apply/#conflicts"},
	},
	{
		Code:    "apply-refused",
		Title:   "the cluster refuses the manifest",
		Cause:   "It is not valid, or an admission policy does not want it.",
		Remedy:  "The message names the field or the policy. --dry-run=server asks again without a change.",
		Aliases: []string{"denied the request", "admission webhook"},
	},
	{
		Code:   "restore-left",
		Title:  "some of what this run changed was not put back",
		Cause:  "Somebody else has changed the same fields since this run wrote them, so their values stayed. An object that this run created stays when somebody has changed it.",
		Remedy: "Compare the named fields with the manifest, and agree with whoever changed them.",
	},
	{
		Code:   "revision-current",
		Title:  "the revision to go back to is the one that runs",
		Cause:  "undo --to-revision names the current revision; nothing would be replaced.",
		Remedy: "kubectl sbw history lists the others.",
	},
	{
		Code:   "revision-none",
		Title:  "there is nothing to go back to",
		Cause:  "This is the workload's first revision, or revisionHistoryLimit keeps none.",
		Remedy: "Roll out a tag that worked: kubectl sbw rollout --tag TAG.",
	},
	{
		Code:   "revision-unknown",
		Title:  "there is no such revision",
		Cause:  "The cluster keeps the last ten (revisionHistoryLimit).",
		Remedy: "kubectl sbw history lists them; an older one is rolled out again by its tag.",
	},
	{
		Code:   "superseded",
		Title:  "somebody else has changed the workload meanwhile",
		Cause:  "Its template is no longer the one that was applied: another person, CI or an operator was faster. What runs now is theirs, and was left alone.",
		Remedy: "Agree with them. kubectl sbw status shows what runs; kubectl sbw undo goes back whatever it is.",
	},
	{
		Code:   "workload-replaced",
		Title:  "the workload was deleted while it was rolled out",
		Cause:  "Another has deleted it, or made it anew under the same name: it is not the object that was changed.",
		Remedy: "Find out who did, then run the rollout again.",
	},
}
