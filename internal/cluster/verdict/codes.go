package verdict

import (
	"time"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// The codes of causes. The package's doc comment and package explain describe them.
const (
	CodeImageNotFound    pipeline.Code = "image-not-found"
	CodeImageDenied      pipeline.Code = "image-denied"
	CodeImagePlatform    pipeline.Code = "image-platform"
	CodeImageName        pipeline.Code = "image-name"
	CodeImageNever       pipeline.Code = "image-never"
	CodeImageNetwork     pipeline.Code = "image-network"
	CodeImagePull        pipeline.Code = "image-pull"
	CodeExecFormat       pipeline.Code = "exec-format"
	CodeCommandNotFound  pipeline.Code = "command-not-found"
	CodeRunAsRoot        pipeline.Code = "run-as-root"
	CodePodSecurity      pipeline.Code = "pod-security"
	CodeAdmissionDenied  pipeline.Code = "admission-denied"
	CodePodInvalid       pipeline.Code = "pod-invalid"
	CodePodsRefused      pipeline.Code = "pods-refused"
	CodeNamespaceEnding  pipeline.Code = "namespace-terminating"
	CodeEnding           pipeline.Code = "being-deleted"
	CodeCrashLoop        pipeline.Code = "crash-loop"
	CodeOOMKilled        pipeline.Code = "oom-killed"
	CodeExits            pipeline.Code = "exits"
	CodeLiveness         pipeline.Code = "liveness"
	CodeStartup          pipeline.Code = "startup"
	CodePostStart        pipeline.Code = "post-start"
	CodePaused           pipeline.Code = "paused"
	CodeOnDelete         pipeline.Code = "on-delete"
	CodeContested        pipeline.Code = "template-contested"
	CodeMultiplying      pipeline.Code = "replicasets-multiply"
	CodeProgressDeadline pipeline.Code = "progress-deadline"
	CodeConfigMissing    pipeline.Code = "config-missing"
	CodeConfig           pipeline.Code = "config"
	CodeContainerCreate  pipeline.Code = "container-create"
	CodeContainerRun     pipeline.Code = "container-run"
	CodeNotReady         pipeline.Code = "not-ready"
	CodeNotStarted       pipeline.Code = "not-started"
	CodeInitRunning      pipeline.Code = "init-running"
	CodeHookRunning      pipeline.Code = "post-start-running"
	CodeReadinessGate    pipeline.Code = "readiness-gate"
	CodeSchedulingGate   pipeline.Code = "scheduling-gate"
	CodeUnschedulable    pipeline.Code = "unschedulable"
	CodeTaint            pipeline.Code = "taint"
	CodeHostPort         pipeline.Code = "host-port"
	CodeClaimMissing     pipeline.Code = "claim-missing"
	CodeClaimUnbound     pipeline.Code = "claim-unbound"
	CodeClaimInUse       pipeline.Code = "claim-in-use"
	CodeSurgeBlocked     pipeline.Code = "surge-blocked"
	CodeVolume           pipeline.Code = "volume"
	CodeMultiAttach      pipeline.Code = "multi-attach"
	CodeSandbox          pipeline.Code = "sandbox"
	CodeNetworkNotReady  pipeline.Code = "network-not-ready"
	CodeQuota            pipeline.Code = "quota"
	CodeServiceAccount   pipeline.Code = "service-account"
	CodeNodeLost         pipeline.Code = "node-lost"
	CodeNodeFull         pipeline.Code = "node-full"
	CodeNodeRefused      pipeline.Code = "node-refused"
	CodeNodeShutdown     pipeline.Code = "node-shutdown"
	CodePodDeadline      pipeline.Code = "pod-deadline"
	CodePreempted        pipeline.Code = "preempted"
	CodeEvicted          pipeline.Code = "evicted"
)

// graces are how long transient causes are tolerated without progress. A cause
// without a row here is tolerated until the rollout's timeout.
var graces = map[pipeline.Code]time.Duration{
	CodeImageNetwork:    60 * time.Second, // the registry does not work: refused, timeout, no such host, 5xx
	CodeImagePull:       30 * time.Second, // an unknown reason
	CodeConfigMissing:   10 * time.Second, // a Secret, ConfigMap or key does not exist (yet)
	CodeConfig:          20 * time.Second,
	CodeContainerCreate: 30 * time.Second,
	CodeContainerRun:    20 * time.Second,
	CodeCrashLoop:       20 * time.Second, // also for the next four: it has ended once or twice and may still come up
	CodeOOMKilled:       20 * time.Second,
	CodeExits:           20 * time.Second,
	CodeLiveness:        20 * time.Second,
	CodeStartup:         20 * time.Second,
	CodePostStart:       20 * time.Second,
	CodeNotReady:        60 * time.Second, // plus initialDelaySeconds
	CodeNotStarted:      60 * time.Second, // or as long as the startup probe allows
	CodeReadinessGate:   60 * time.Second,
	CodeUnschedulable:   60 * time.Second, // an autoscaler may help
	CodeTaint:           60 * time.Second,
	CodeHostPort:        60 * time.Second,
	CodeClaimMissing:    10 * time.Second,
	CodeClaimUnbound:    60 * time.Second, // a provisioner may be at work
	CodeClaimInUse:      60 * time.Second,
	CodeSurgeBlocked:    20 * time.Second, // only the old pod could make room, but it waits for the new one
	CodeVolume:          60 * time.Second,
	CodeMultiAttach:     60 * time.Second, // detaching takes some time
	CodeSandbox:         60 * time.Second,
	CodeNetworkNotReady: 60 * time.Second,
	CodeQuota:           30 * time.Second,
	CodeServiceAccount:  10 * time.Second,
	CodePodsRefused:     30 * time.Second,
	CodeMultiplying:     10 * time.Second,
	CodeNodeLost:        60 * time.Second,
	CodeNodeFull:        30 * time.Second,
	CodeNodeRefused:     30 * time.Second,
	CodeNodeShutdown:    60 * time.Second, // the replacement goes elsewhere
	CodePodDeadline:     30 * time.Second,
	CodePreempted:       60 * time.Second,
	CodeEvicted:         60 * time.Second,
}
