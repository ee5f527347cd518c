package explain

// contextEntries are about what the checkout contributes to the image.
var contextEntries = []Entry{
	{
		Code:    "context-env",
		Title:   "a .env file would be in the image",
		Cause:   "Such files contain secrets, and everybody who can pull an image can read its layers.",
		Remedy:  "Add **/.env to .dockerignore. If an image with the file has already been published, replace the secrets.",
		Example: "# .dockerignore\n**/.env\n**/.env.*",
	},
	{
		Code:    "context-git",
		Title:   "the git history would be in the image",
		Cause:   "COPY . also copies .git. It is large, and because it changes with every commit, no layer after it is ever cached.",
		Remedy:  "Add **/.git to .dockerignore.",
		Example: "# .dockerignore\n**/.git",
	},
	{
		Code:    "context-huge",
		Title:   "the build copies a very large part of the checkout",
		Cause:   "Everything that COPY names is read and sent to the builder in every build.",
		Remedy:  "Exclude what the image does not need with .dockerignore. The finding lists the largest files.",
		Example: "# .dockerignore\n**/node_modules\n**/*.sqlite\ndumps/",
		Aliases: []string{"transferring context"},
		Docs:    []string{"https://docs.docker.com/build/concepts/context/#dockerignore-files"},
	},
	{
		Code:    "context-missing",
		Title:   "the build context is not a directory",
		Cause:   "build.context in .sbw.yaml, and --context, are relative to the root of the repository.",
		Remedy:  "Correct the path.",
		Example: "build: {context: ., dockerfile: packages/system-bus/Dockerfile}",
	},
	{
		Code:    "context-modules",
		Title:   "the node_modules of this machine would be in the image",
		Cause:   "Packages with compiled parts are built for this machine's operating system and architecture. In an arm64 image they fail with \"invalid ELF header\" or exec format error.",
		Remedy:  "Add **/node_modules to .dockerignore and install the packages inside the image.",
		Example: "# .dockerignore\n**/node_modules\n\n# Dockerfile\nRUN bun install --frozen-lockfile",
		Aliases: []string{"invalid ELF header", "node_modules"},
	},
	{
		Code:    "disk-room",
		Title:   "the disk is almost full",
		Cause:   "An image is stored twice: once by the builder and once as a layout.",
		Remedy:  "Remove what builders keep, with docker buildx prune or podman system prune.",
		Example: "docker buildx prune",
		Aliases: []string{"no space left on device"},
	},
	{
		Code:    "dockerignore",
		Title:   ".dockerignore cannot be read",
		Cause:   "The file is not readable, or it contains a pattern that is not valid.",
		Remedy:  "Correct the file. Without it, nobody knows what the image would contain.",
		Example: "ls -l .dockerignore",
	},
}
