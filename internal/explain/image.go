package explain

// imageEntries are about what is in the image: whether it will run where it is
// meant to.
var imageEntries = []Entry{
	{
		Code:    "entrypoint-loader",
		Title:   "the program's loader is not in the image",
		Symptom: "exec /app/worker: no such file or directory, though the file is there.",
		Cause:   "The program is linked for another C library: built on Debian (glibc) and copied into Alpine (musl), or the other way.",
		Remedy:  "Use a base image of the C library that it was built for, or link it statically.",
		Aliases: []string{"no such file or directory, though the file is there", "ld-linux", "ld-musl", "not found: ld-"},
	},
	{
		Code:    "entrypoint-missing",
		Title:   "what the image starts is not in it",
		Symptom: "exec: \"bun\": executable file not found in $PATH",
		Cause:   "CMD or ENTRYPOINT names a program that no layer holds: it was built in an earlier stage and not copied, its path is another, or a script begins with #! and ends its line the Windows way (CR LF).",
		Remedy:  "Copy it into the last stage, or mend the command.",
		Aliases: []string{"env: bun: No such file or directory", "/bin/sh^M: bad interpreter"},
	},
	{
		Code:   "entrypoint-mode",
		Title:  "what the image starts may not be executed",
		Cause:  "The file lacks the executable bit, often lost on its way through Windows or a zip.",
		Remedy: "COPY --chmod=755, or git update-index --chmod=+x FILE.",
	},
	{
		Code:   "entrypoint-none",
		Title:  "the image starts nothing by itself",
		Cause:  "It has neither CMD nor ENTRYPOINT. That is right only where the manifest says command:.",
		Remedy: "Write CMD into the Dockerfile, or command into the manifest.",
	},
	{
		Code:    "exec-format",
		Title:   "the program is for another architecture than the node",
		Symptom: "exec /usr/local/bin/bun: exec format error in the pod's log, the pod in CrashLoopBackOff.",
		Cause:   "The image, or a program in it, was built for amd64 and the node is arm64 (Talos under Colima on Apple silicon), or the other way. It also happens inside an image that says arm64: a binary downloaded or copied for the wrong architecture. A script without #! on its first line gives the same error.",
		Remedy:  "gh sbw publish --platform linux/arm64 builds for the node, and looks into the image before it is pushed: at its config, at the base's interpreter and at what CMD starts. kubectl sbw rollout looks again, before apply, which nodes the pod may land on.",
		Aliases: []string{"exec format error", "cannot execute binary file", "wrong architecture", "built for amd64", "built for arm64"},
	},
	{
		Code:   "image-grown",
		Title:  "the image is more than twice the size of the one before",
		Cause:  "Something came into the build context that the image does not need: node_modules, .git, a dump. Every node pulls it.",
		Remedy: "List it in .dockerignore, or copy less: COPY package.json src ./ in place of COPY . .",
	},
	{
		Code:    "image-platform",
		Title:   "the image is not for the platform where it is to run",
		Symptom: "no match for platform in manifest: not found",
		Cause:   "Its config, or its index, names other platforms. Without --platform a builder builds for the machine it runs on.",
		Remedy:  "gh sbw publish --platform linux/arm64; several platforms, separated by commas, make an index.",
		Aliases: []string{"no match for platform in manifest", "no matching manifest for linux/arm64", "does not match the specified platform", "--platform"},
	},
	{
		Code:   "image-port",
		Title:  "the image exposes another port than the worker's",
		Cause:  "EXPOSE of the Dockerfile and probe.port of .sbw.yaml differ. EXPOSE is only a note, but one of the two is likely wrong.",
		Remedy: "Make them agree: the port that the worker listens on.",
	},
	{
		Code:   "image-unread",
		Title:  "the image was not looked into",
		Cause:  "Its layers are compressed in a way, or are of a kind, that is not read here.",
		Remedy: "Nothing: the check is left out. The registry and the node may still take it.",
	},
	{
		Code:   "image-user",
		Title:  "the image runs as root where the manifest forbids it",
		Cause:  "The manifest says runAsNonRoot and the image has no USER, or one by name, which the kubelet cannot judge.",
		Remedy: "USER with a number in the Dockerfile (USER 1000), or securityContext.runAsUser in the manifest.",
	},
}

// layoutEntries are about the directory that an image is built into.
var layoutEntries = []Entry{
	{
		Code:    "layout-ambiguous",
		Title:   "the layout holds several images",
		Cause:   "--layout names a directory whose index lists more than one.",
		Remedy:  "Choose one: --layout DIR:REF, or --layout DIR@sha256:….",
		Aliases: []string{"--layout"},
	},
	{
		Code:   "layout-broken",
		Title:  "the image's layout is not whole",
		Cause:  "A blob that its index or manifest names is missing or cannot be read: an export that was cut off, or a directory that somebody tidied.",
		Remedy: "Build again; a layout made elsewhere has to be exported again.",
	},
	{
		Code:    "layout-corrupt",
		Title:   "a blob is not what its digest says",
		Cause:   "The file on disk was changed or damaged after it was written. It was not published.",
		Remedy:  "Remove the layout directory and build again. If it comes back, suspect the disk.",
		Aliases: []string{"DIGEST_INVALID", "digest mismatch"},
	},
	{
		Code:   "layout-dir",
		Title:  "the directory for built images cannot be written",
		Cause:  "Images are kept below the user's cache directory between builds (~/.cache/sbw, ~/Library/Caches/sbw), and it is not writable; often it belongs to root after a run with sudo.",
		Remedy: "Make it yours (chown), or set XDG_CACHE_HOME to another place.",
	},
	{
		Code:   "layout-locked",
		Title:  "another publish of this worker is running here",
		Cause:  "Both would write into one directory. The lock is the kernel's: it is gone as soon as its holder is.",
		Remedy: "Wait until it ends, or end it; its process is named.",
	},
	{
		Code:   "layout-missing",
		Title:  "there is no image layout at this path",
		Cause:  "--layout takes a directory in the OCI image layout: oci-layout, index.json, blobs. A tar archive of one has to be unpacked.",
		Remedy: "docker buildx build --output type=oci,tar=false,dest=DIR makes one.",
		Docs:   []string{"https://github.com/opencontainers/image-spec/blob/main/image-layout.md"},
	},
}
