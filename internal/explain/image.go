package explain

// imageEntries are about what is in the image: whether it will run where it is
// meant to.
var imageEntries = []Entry{
	{
		Code:    "entrypoint-loader",
		Title:   "the loader that the program needs is not in the image",
		Symptom: "exec /app/worker: no such file or directory, although the file exists.",
		Cause:   "The program is linked against a different C library: built on Debian (glibc) and copied into Alpine (musl), or the other way round.",
		Remedy:  "Use a base image with the C library that the program was built for, or link the program statically.",
		Aliases: []string{"no such file or directory, though the file is there", "ld-linux", "ld-musl", "not found: ld-"},
	},
	{
		Code:    "entrypoint-missing",
		Title:   "the program that the image starts is not in it",
		Symptom: "exec: \"bun\": executable file not found in $PATH",
		Cause:   "CMD or ENTRYPOINT names a program that no layer contains. It was built in an earlier stage and not copied, it has another path, or it is a script whose #! line ends in a Windows line break (CR LF).",
		Remedy:  "Copy the program into the last stage, or correct the command.",
		Aliases: []string{"env: bun: No such file or directory", "/bin/sh^M: bad interpreter"},
	},
	{
		Code:    "entrypoint-mode",
		Title:   "the program that the image starts is not executable",
		Cause:   "The file lacks the executable bit. It is often lost on Windows or in a zip archive.",
		Remedy:  "Set the bit while copying, or in git.",
		Example: "COPY --chmod=755 start.sh /app/\ngit update-index --chmod=+x start.sh",
	},
	{
		Code:   "entrypoint-none",
		Title:  "the image does not start anything by itself",
		Cause:  "It has neither CMD nor ENTRYPOINT. That is fine only if the manifest sets command:.",
		Remedy: "Add CMD to the Dockerfile, or command to the manifest.",
	},
	{
		Code:    "exec-format",
		Title:   "the program is for a different architecture than the node",
		Symptom: "exec /usr/local/bin/bun: exec format error in the pod's log, and the pod in CrashLoopBackOff.",
		Cause:   "The image, or a program in it, was built for amd64 and the node is arm64 (Talos in Colima on Apple silicon), or the other way round. It also happens in an image that is labelled arm64, if a program in it was downloaded or copied for another architecture. A script without #! in its first line causes the same error.",
		Remedy:  "Build for the node. Before the push, gh sbw publish checks the image's configuration, the interpreter of the base image and the program that CMD starts. Before it applies anything, kubectl sbw rollout checks which nodes the pod may run on.",
		Example: "gh sbw publish --platform linux/arm64",
		Aliases: []string{"exec format error", "cannot execute binary file", "wrong architecture", "built for amd64", "built for arm64"},
	},
	{
		Code:    "image-grown",
		Title:   "the image is more than twice as large as the one before",
		Cause:   "Something that the image does not need got into the build context: node_modules, .git, a database dump. Every node has to pull it.",
		Remedy:  "List it in .dockerignore, or copy less.",
		Example: "# instead of COPY . .\nCOPY package.json src ./",
	},
	{
		Code:    "image-platform",
		Title:   "the image is not for the platform that it is meant to run on",
		Symptom: "no match for platform in manifest: not found",
		Cause:   "The image's configuration, or its index, names other platforms. Without --platform a builder builds for the machine it runs on.",
		Remedy:  "Build for the right platform. Several platforms, separated by commas, produce an index.",
		Example: "gh sbw publish --platform linux/arm64",
		Aliases: []string{"no match for platform in manifest", "no matching manifest for linux/arm64", "does not match the specified platform", "--platform"},
	},
	{
		Code:   "image-port",
		Title:  "the image exposes a different port than the worker's",
		Cause:  "EXPOSE in the Dockerfile and probe.port in .sbw.yaml differ. EXPOSE is only documentation, but one of the two is probably wrong.",
		Remedy: "Set both to the port that the worker listens on.",
	},
	{
		Code:    "image-tag-moved",
		Title:   "the tag no longer stands for the digest that was given",
		Cause:   "--image names both a tag and a digest, and somebody has published another image under that tag since, or deleted the tag. Both cannot go out.",
		Remedy:  "Decide which one is meant: the tag alone rolls out what it stands for now, and the digest alone rolls out exactly that image.",
		Example: "kubectl sbw rollout --image ghcr.io/owner/name@sha256:…",
	},
	{
		Code:   "image-unread",
		Title:  "the content of the image was not checked",
		Cause:  "Its layers use a compression or a format that sbw does not read.",
		Remedy: "You can ignore this: only the check is skipped. The registry and the node may still accept the image.",
	},
	{
		Code:    "image-user",
		Title:   "the image runs as root, which the manifest forbids",
		Cause:   "The manifest sets runAsNonRoot. The image has no USER, or a USER by name, which the kubelet cannot check.",
		Remedy:  "Set a numeric USER in the Dockerfile, or securityContext.runAsUser in the manifest.",
		Example: "USER 1000",
	},
}

// layoutEntries are about the directory that an image is built into.
var layoutEntries = []Entry{
	{
		Code:   "layer-churn",
		Title:  "a layer was built again and hardly differs",
		Cause:  "The step behind it ran again, because something that was copied before it had changed, and wrote the same files with other times, or times into a few files. Package managers do so: pnpm writes prunedAt into node_modules/.modules.yaml. Without reuse the whole layer would be compressed, sent and pulled again; instead, the published layer was used, with a small layer on top for what differs.",
		Remedy: "Copy the package.json files and the lockfile first, install, and copy the sources after that; then the step runs again only when dependencies change. Delete files that contain timestamps within the same RUN. gh sbw publish --no-layer-reuse, or build.layerReuse: false in .sbw.yaml, sends layers as they are built.",
		Docs:   []string{"https://docs.docker.com/build/cache/optimize/"},
	},
	{
		Code:   "layer-compress",
		Title:  "a layer could not be compressed",
		Cause:  "Layers are built uncompressed, and compressed on this machine before they are sent. The disk is full, the layout directory cannot be written to, or the layer's file was damaged after the build.",
		Remedy: "Make room on the disk of the cache directory, and publish again: the build itself is cached.",
	},
	{
		Code:   "layer-reuse-unproven",
		Title:  "published layers could not be reused safely",
		Cause:  "Before anything is sent, the root file system of the image with reused layers is compared with that of the image that was built, entry by entry. They differed, or a layer could not be read. The image was sent as it was built, so nothing is wrong with it; it took longer.",
		Remedy: "Nothing has to be done. If it happens again, remove the worker's directory below the cache directory (sbw/layouts), and report it.",
	},
	{
		Code:    "layout-ambiguous",
		Title:   "the layout contains several images",
		Cause:   "The index of the directory that --layout names lists more than one image.",
		Remedy:  "Choose one.",
		Example: "gh sbw publish --layout DIR:REF\ngh sbw publish --layout DIR@sha256:…",
		Aliases: []string{"--layout"},
	},
	{
		Code:   "layout-broken",
		Title:  "the image layout is incomplete",
		Cause:  "A blob that its index or manifest refers to is missing or cannot be read. Either an export was interrupted, or somebody deleted files from the directory.",
		Remedy: "Build again. If the layout was made elsewhere, export it again.",
	},
	{
		Code:    "layout-corrupt",
		Title:   "a blob does not match its digest",
		Cause:   "The file on disk was changed or damaged after it was written. It was not published.",
		Remedy:  "Remove the layout directory and build again. If the problem comes back, suspect the disk.",
		Aliases: []string{"DIGEST_INVALID", "digest mismatch"},
	},
	{
		Code:   "layout-dir",
		Title:  "the directory for built images is not writable",
		Cause:  "sbw keeps images between builds in the user's cache directory (~/.cache/sbw, ~/Library/Caches/sbw). It often belongs to root after a run with sudo.",
		Remedy: "Take ownership of it with chown, or set XDG_CACHE_HOME to another directory.",
	},
	{
		Code:   "layout-locked",
		Title:  "another publish of this worker is running on this machine",
		Cause:  "Both would write to the same directory. The lock belongs to the kernel, so it disappears together with the process that holds it.",
		Remedy: "Wait until the other run ends, or end it. The finding names its process.",
	},
	{
		Code:    "layout-missing",
		Title:   "there is no image layout at this path",
		Cause:   "--layout expects a directory in the OCI image layout: oci-layout, index.json and blobs. Unpack a tar archive of one first.",
		Remedy:  "Create one with a builder.",
		Example: "docker buildx build --output type=oci,tar=false,dest=DIR .",
		Docs:    []string{"https://github.com/opencontainers/image-spec/blob/main/image-layout.md"},
	},
}
