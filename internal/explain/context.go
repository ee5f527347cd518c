package explain

// contextEntries are about what goes from the checkout to the builder.
var contextEntries = []Entry{
	{
		Code:   "context-env",
		Title:  "a .env file would be in the image",
		Cause:  "Such files hold secrets, and whoever can pull an image can read its layers.",
		Remedy: "Add **/.env to .dockerignore. If one was published already, treat its secrets as known to others.",
	},
	{
		Code:   "context-git",
		Title:  "the history would be in the image",
		Cause:  "COPY . takes .git along. It is large, and since it changes with every commit no layer after it is ever cached.",
		Remedy: "Add **/.git to .dockerignore.",
	},
	{
		Code:    "context-huge",
		Title:   "the build takes very much out of the checkout",
		Cause:   "Everything that COPY names is read and sent to the builder at each build.",
		Remedy:  "Leave out by .dockerignore what the image does not need; the largest are listed.",
		Aliases: []string{"transferring context"},
		Docs:    []string{"https://docs.docker.com/build/concepts/context/#dockerignore-files"},
	},
	{
		Code:   "context-missing",
		Title:  "the build context is not a directory",
		Cause:  "build.context of .sbw.yaml, or --context, is relative to the repository's root.",
		Remedy: "Correct it.",
	},
	{
		Code:    "context-modules",
		Title:   "node_modules of this machine would be in the image",
		Cause:   "Packages with compiled parts are for this machine's system and architecture: in an arm64 image they end in \"invalid ELF header\" or exec format error.",
		Remedy:  "Add **/node_modules to .dockerignore and install inside the image.",
		Aliases: []string{"invalid ELF header", "node_modules"},
	},
	{
		Code:    "disk-room",
		Title:   "little room on the disk",
		Cause:   "An image is kept once by the builder and once as a layout.",
		Remedy:  "docker buildx prune, or podman system prune, removes what builders keep.",
		Aliases: []string{"no space left on device"},
	},
	{
		Code:   "dockerignore",
		Title:  "the .dockerignore cannot be read",
		Cause:  "Its permissions, or a pattern that is not valid.",
		Remedy: "Mend it: without it nobody knows what the image would contain.",
	},
}
