package explain

// configEntries are about .sbw.yaml, names on the command line and the
// checkout.
var configEntries = []Entry{
	{
		Code:    "cache-dir",
		Title:   "there is nowhere to keep the image between builds",
		Cause:   "Neither XDG_CACHE_HOME nor HOME is set. This happens under some service managers and in minimal containers.",
		Remedy:  "Set HOME or XDG_CACHE_HOME for the process. sbw keeps the image's layout there, so that the next build exports and pushes only what has changed.",
		Aliases: []string{"neither $XDG_CACHE_HOME nor $HOME are defined"},
	},
	{
		Code:    "checkout-missing",
		Title:   "the directory to publish from does not exist",
		Cause:   "The path that was given, or the directory the command was started in, does not exist.",
		Remedy:  "Change to the checkout of the worker's repository and run the command there.",
		Aliases: []string{"no such file or directory checkout"},
	},
	{
		Code:    "config",
		Title:   ".sbw.yaml, or a container's configuration, is wrong",
		Symptom: "Before a run: a line of .sbw.yaml. During a rollout: CreateContainerConfigError on a pod.",
		Cause:   "In .sbw.yaml: the file is not valid YAML, a key does not exist, or a value has the wrong type. The finding names the line and, for a misspelt key, the key that was probably meant.\nOn a pod: the kubelet cannot assemble the container's configuration. Its message says which part is wrong.",
		Remedy:  "Correct the line that the finding names. Every key of .sbw.yaml is optional, and without the file the defaults apply, which fit the repository of system-bus-worker.\nOn a pod: read the message. It names the environment variable, Secret or ConfigMap.",
		Aliases: []string{".sbw.yaml", "CreateContainerConfigError"},
	},
	{
		Code:    "git-dirty",
		Title:   "the working tree has uncommitted changes",
		Cause:   "Some files differ from the commit or are new, so the commit alone does not say what is in the image.",
		Remedy:  "You can ignore this: the image is labelled dev.sbw.dirty=true, and history shows it. To publish something that others can see too, commit first.",
		Aliases: []string{"uncommitted changes", "dirty tree", "dirty"},
	},
	{
		Code:    "git-distrusted",
		Title:   "git does not trust the owner of the checkout",
		Symptom: "fatal: detected dubious ownership in repository",
		Cause:   "The directory belongs to a different user than the one running git (a mounted volume, sudo), so git refuses to read it. The image is built without a revision.",
		Remedy:  "Run git config --global --add safe.directory DIRECTORY, or run the command as the owner of the directory.",
		Aliases: []string{"detected dubious ownership in repository", "dubious ownership", "safe.directory"},
	},
	{
		Code:    "git-none",
		Title:   "the revision is unknown",
		Cause:   "The directory is not a git checkout, git is not installed, or git failed.",
		Remedy:  "Publish from a checkout if you want the commit recorded in the image. Everything works without it, except that status and history cannot say which source is running.",
		Aliases: []string{"not a git repository"},
	},
	{
		Code:    "image-name",
		Title:   "this is not a valid image name",
		Symptom: "invalid reference format; InvalidImageName on a pod.",
		Cause:   "Image names consist of lower-case letters and digits, separated by single '.', '_', '__' or '-' characters. If the GitHub owner contains capitals, write it in lower case. The tag is given separately.",
		Remedy:  "Write the name as ghcr.io/owner/name, either in .sbw.yaml (image) or with --image.",
		Aliases: []string{"invalid reference format", "InvalidImageName", "repository name must be lowercase", "couldn't parse image name"},
	},
	{
		Code:    "tag-invalid",
		Title:   "this is not a valid tag",
		Cause:   "The distribution specification allows at most 128 letters, digits, '_', '.' and '-', and the first character must not be '.' or '-'. Usually the tag is a branch name with a slash in it.",
		Remedy:  "Choose another tag. The default is always valid.",
		Aliases: []string{"invalid tag format"},
	},
	{
		Code:   "worker-ambiguous",
		Title:  ".sbw.yaml describes several workers",
		Cause:  "The file contains more than one worker, so sbw cannot know which one you mean.",
		Remedy: "Choose one with --worker NAME.",
	},
	{
		Code:   "worker-unknown",
		Title:  "there is no worker by this name",
		Cause:  "--worker names a worker that .sbw.yaml does not contain. sbw looks for the file in the current directory and its parents, up to the root of the repository.",
		Remedy: "Use one of the names below workers: in .sbw.yaml, or add the worker there.",
	},
}
