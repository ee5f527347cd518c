package explain

// configEntries are about .sbw.yaml, names on the command line and the
// checkout.
var configEntries = []Entry{
	{
		Code:    "cache-dir",
		Title:   "nowhere to keep the image between builds",
		Cause:   "Neither XDG_CACHE_HOME nor HOME is set, as under some service managers and in bare containers.",
		Remedy:  "Set HOME or XDG_CACHE_HOME for the process. What is kept there is the image's layout: it makes the next build's export and push a matter of what changed.",
		Aliases: []string{"neither $XDG_CACHE_HOME nor $HOME are defined"},
	},
	{
		Code:    "checkout-missing",
		Title:   "the directory to publish from is not there",
		Cause:   "The path that was given, or the directory the command was started in, does not exist.",
		Remedy:  "Change to the checkout of the worker's repository and run it there.",
		Aliases: []string{"no such file or directory checkout"},
	},
	{
		Code:    "config",
		Title:   ".sbw.yaml, or a container's configuration, is wrong",
		Symptom: "Before a run: a line of .sbw.yaml. During a rollout: CreateContainerConfigError on a pod.",
		Cause:   "In .sbw.yaml: not YAML, a key that does not exist, or a value of the wrong kind; the line is named, with the key that was probably meant.\nOn a pod: the kubelet cannot put the container's configuration together; its message says which part.",
		Remedy:  "Correct the line that is named. Every key of .sbw.yaml is optional; without the file the defaults hold, which fit the repository of system-bus-worker.\nOn a pod, read the message: it names the environment variable, Secret or ConfigMap.",
		Aliases: []string{".sbw.yaml", "CreateContainerConfigError"},
	},
	{
		Code:    "git-dirty",
		Title:   "the tree has changes that are not committed",
		Cause:   "Files differ from the commit, or are new, so that the commit's name does not say what is in the image.",
		Remedy:  "Nothing need be done: the image is labelled dev.sbw.dirty=true and history shows it. To publish what others can see too, commit first.",
		Aliases: []string{"uncommitted changes", "dirty tree", "dirty"},
	},
	{
		Code:    "git-distrusted",
		Title:   "git does not trust the checkout's owner",
		Symptom: "fatal: detected dubious ownership in repository",
		Cause:   "The directory belongs to another user than the one who runs git (a mounted volume, sudo), and git refuses to read it. The image is made without a revision.",
		Remedy:  "git config --global --add safe.directory DIRECTORY, or run as the owner.",
		Aliases: []string{"detected dubious ownership in repository", "dubious ownership", "safe.directory"},
	},
	{
		Code:    "git-none",
		Title:   "the revision is not known",
		Cause:   "The directory is no git checkout, git is not installed, or git could not answer.",
		Remedy:  "Publish from a checkout to have the commit on the image. Without one everything works, except that status and history cannot say what source is running.",
		Aliases: []string{"not a git repository"},
	},
	{
		Code:    "image-name",
		Title:   "not a name that an image can have",
		Symptom: "invalid reference format; InvalidImageName on a pod.",
		Cause:   "Registries take lower-case letters, digits and single . _ - between them; a GitHub owner with capitals has to be written in lower case. The name stands without tag, which is given by itself.",
		Remedy:  "Write it as ghcr.io/owner/name, in .sbw.yaml (image) or with --image.",
		Aliases: []string{"invalid reference format", "InvalidImageName", "repository name must be lowercase", "couldn't parse image name"},
	},
	{
		Code:    "tag-invalid",
		Title:   "not a tag that an image can have",
		Cause:   "By the distribution specification a tag has letters, digits, '_', '.' and '-', at most 128, and does not begin with '.' or '-'. Branch names with a slash are the usual case.",
		Remedy:  "Choose another: the commit's short name is the default and always fits.",
		Aliases: []string{"invalid tag format"},
	},
	{
		Code:   "worker-ambiguous",
		Title:  ".sbw.yaml describes several workers",
		Cause:  "With more than one worker in the file there is no telling which is meant.",
		Remedy: "Choose with --worker NAME.",
	},
	{
		Code:   "worker-unknown",
		Title:  "no worker by this name",
		Cause:  "--worker names one that .sbw.yaml does not have. The file is looked for from the current directory upwards to the repository's root.",
		Remedy: "Use one of the names under workers: in .sbw.yaml, or add it there.",
	},
}
