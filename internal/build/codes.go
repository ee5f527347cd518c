package build

import "github.com/joelhooks/gh-sbw/internal/pipeline"

// The codes of this package's findings.
const (
	CodePlatform pipeline.Code = "builder-platform"
	CodeCache    pipeline.Code = "builder-cache"
	// CodeLegacy means that Docker's legacy builder cannot do what the build
	// needs.
	CodeLegacy pipeline.Code = "builder-legacy"
	// CodeNoSpace means that the disk of the builder or of this machine is full.
	CodeNoSpace pipeline.Code = "build-no-space"
	// CodeShortName means that podman or buildah refuses to guess the registry.
	CodeShortName pipeline.Code = "base-image-short-name"
	// CodeExecForm means that a command was meant as a list but is not valid
	// JSON.
	CodeExecForm pipeline.Code = "dockerfile-exec-form"
	// CodeEpoch means that the builder cannot set the times of files.
	CodeEpoch                  pipeline.Code = "builder-epoch"
	codeBaseImage              pipeline.Code = "base-image"
	codeBaseImageDenied        pipeline.Code = "base-image-denied"
	codeBaseImageMissing       pipeline.Code = "base-image-missing"
	codeBaseImagePlatform      pipeline.Code = "base-image-platform"
	codeBaseImageRate          pipeline.Code = "base-image-rate"
	codeBuildExport            pipeline.Code = "build-export"
	codeBuildFailed            pipeline.Code = "build-failed"
	codeBuildNetwork           pipeline.Code = "build-network"
	codeBuildStep              pipeline.Code = "build-step"
	codeBuilderDown            pipeline.Code = "builder-down"
	codeBuilderMissing         pipeline.Code = "builder-missing"
	codeBuilderNoOCI           pipeline.Code = "builder-no-oci"
	codeBuilderOld             pipeline.Code = "builder-old"
	codeBuilderPassedOver      pipeline.Code = "builder-passed-over"
	codeBuilderUnknown         pipeline.Code = "builder-unknown"
	codeContextEnv             pipeline.Code = "context-env"
	codeContextGit             pipeline.Code = "context-git"
	codeContextHuge            pipeline.Code = "context-huge"
	codeContextMissing         pipeline.Code = "context-missing"
	codeContextModules         pipeline.Code = "context-modules"
	codeCopyIgnored            pipeline.Code = "copy-ignored"
	codeCopyMissing            pipeline.Code = "copy-missing"
	codeDiskRoom               pipeline.Code = "disk-room"
	codeDockerCredentialHelper pipeline.Code = "docker-credential-helper"
	codeDockerfileLint         pipeline.Code = "dockerfile-lint"
	codeDockerfileMissing      pipeline.Code = "dockerfile-missing"
	codeDockerfilePlatform     pipeline.Code = "dockerfile-platform"
	codeDockerfileSyntax       pipeline.Code = "dockerfile-syntax"
	codeDockerfileTarget       pipeline.Code = "dockerfile-target"
	codeDockerignore           pipeline.Code = "dockerignore"
)
