package verdict

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
	"github.com/joelhooks/gh-sbw/internal/termtext"
)

// Reasons that the kubelet reports (pkg/kubelet/images/types.go,
// pkg/kubelet/container/sync_result.go, kuberuntime).
const (
	errImagePull       = "ErrImagePull"
	imagePullBackOff   = "ImagePullBackOff"
	errImageNeverPull  = "ErrImageNeverPull"
	invalidImageName   = "InvalidImageName"
	imageInspectError  = "ImageInspectError"
	signatureInvalid   = "SignatureValidationFailed"
	registryDown       = "RegistryUnavailable"
	configError        = "CreateContainerConfigError"
	createError        = "CreateContainerError"
	runError           = "RunContainerError"
	crashLoopBackOff   = "CrashLoopBackOff"
	startError         = "StartError"
	containerCannotRun = "ContainerCannotRun"
	oomKilled          = "OOMKilled"
)

// ofContainer returns what is wrong with one container.
func (j *judgement) ofContainer(pod *corev1.Pod, c container) *Cause {
	s := c.status
	if w := s.State.Waiting; w != nil {
		switch w.Reason {
		case errImagePull, imagePullBackOff, registryDown, imageInspectError, signatureInvalid:
			return pull(c.spec.Image, j.pullMessage(pod, c))
		case errImageNeverPull:
			return terminal(
				CodeImageNever,
				"image "+c.spec.Image+" is not on the node, or this pod may not use it",
				termtext.Line(w.Message),
				"set imagePullPolicy to IfNotPresent or Always; since Kubernetes 1.35 a pod also needs the pull secret that the image on "+
					"the node was pulled with",
			)
		case invalidImageName:
			return terminal(
				CodeImageName,
				fmt.Sprintf("%q is not a valid image name", c.spec.Image),
				termtext.Line(w.Message),
				"correct the image in the manifest",
			)
		case configError:
			return config(pod, c, w.Message)
		case createError:
			if strings.Contains(w.Message, "no command specified") {
				return terminal(
					CodeCommandNotFound,
					fmt.Sprintf("container %s has no command", s.Name),
					termtext.Line(w.Message),
					"give the image a CMD or ENTRYPOINT",
				)
			}
			return transient(
				CodeContainerCreate,
				fmt.Sprintf("container %s of pod %s cannot be created", s.Name, pod.Name),
				termtext.Line(w.Message),
				"follow the message; the node's container runtime may have a problem",
			)
		case runError:
			return run(pod, c, w.Message)
		}
	}
	return j.ended(pod, c)
}

// pullMessage is the reason why a pull failed. The state of a pod in back-off
// contains it only with newer kubelets; the Failed event always does.
func (j *judgement) pullMessage(pod *corev1.Pod, c container) string {
	message := c.status.State.Waiting.Message
	if strings.Contains(message, ": ") && !strings.HasSuffix(message, `"`) {
		return message
	}
	for _, e := range j.about[pod.UID] {
		if e.Reason == "Failed" &&
			strings.Contains(e.Message, c.spec.Image) && strings.Contains(e.Message, "ailed to pull") {
			return e.Message
		}
	}
	return message
}

// config describes CreateContainerConfigError, which the kubelet repeats
// forever.
func config(pod *corev1.Pod, c container, message string) *Cause {
	why := termtext.Line(message)
	switch {
	case strings.Contains(message, "runAsNonRoot") || strings.Contains(message, "non-numeric user"):
		return terminal(CodeRunAsRoot, fmt.Sprintf("container %s must not run as root, but its image does", c.spec.Name), why,
			"give the image a numeric USER, or set securityContext.runAsUser")
	case strings.Contains(message, "not found") || strings.Contains(message, "couldn't find key"):
		return transient(
			CodeConfigMissing,
			fmt.Sprintf("container %s of pod %s needs a Secret, ConfigMap or key that does not exist", c.spec.Name, pod.Name),
			why,
			"create the Secret or ConfigMap (or its key) that the message names, in this namespace",
		)
	}
	return transient(
		CodeConfig,
		fmt.Sprintf("container %s of pod %s cannot be configured", c.spec.Name, pod.Name),
		why,
		"follow the message",
	)
}

// run describes a container that was created but could not be started.
func run(pod *corev1.Pod, c container, message string) *Cause {
	why := after(termtext.Line(message), "unable to start container process")
	switch {
	case isExecFormat(message):
		return wrongArchitecture(c, "", why)
	case strings.Contains(message, "exec:") || strings.Contains(message, "executable file not found"):
		return terminal(CodeCommandNotFound, fmt.Sprintf("container %s: its command cannot be executed", c.spec.Name), why,
			"correct command: in the manifest, or CMD/ENTRYPOINT in the Dockerfile")
	}
	return transient(
		CodeContainerRun,
		fmt.Sprintf("container %s of pod %s cannot be started", c.spec.Name, pod.Name),
		why,
		"follow the message; the node's container runtime may have a problem",
	)
}

// ends returns how often a container has ended, and how it ended last. A pod that waits
// for a restart has ended once more than it was restarted. A busy kubelet may not show
// that last end (terminated) at all.
func ends(s *corev1.ContainerStatus) (times int32, last *corev1.ContainerStateTerminated) {
	last = s.LastTerminationState.Terminated
	switch {
	case s.State.Terminated != nil:
		return s.RestartCount + 1, s.State.Terminated
	case s.State.Waiting != nil && s.State.Waiting.Reason == crashLoopBackOff:
		return s.RestartCount + 1, last
	}
	return s.RestartCount, last
}

// ended judges a container that started but did not keep running.
func (j *judgement) ended(pod *corev1.Pod, c container) *Cause {
	s := c.status
	times, last := ends(s)
	if c.init && s.State.Terminated != nil && last.ExitCode == 0 {
		return nil
	}
	if last == nil && times == 0 {
		return j.notReady(pod, c)
	}
	log := j.Logs[Container{Pod: pod.Name, Name: s.Name}]
	message := ""
	if last != nil {
		message = last.Message
	}
	if isExecFormat(log) || isExecFormat(message) {
		return wrongArchitecture(c, pod.Spec.NodeName, execFormatLine(log+"\n"+message))
	}
	if last != nil && (last.Reason == startError || last.Reason == containerCannotRun) {
		return run(pod, c, last.Message)
	}
	cause := j.crash(pod, c, last, times)
	allowed := j.policy.Restarts
	if cause.Code != CodeCrashLoop {
		// If another start does not help, that is clear after one end fewer.
		allowed = max(0, allowed-1)
	}
	if s.State.Running != nil && times <= allowed && !j.overdue {
		// It is running again, so its probe decides.
		return j.notReady(pod, c)
	}
	cause.Terminal = times > allowed
	return cause
}

// patience is the setting that tolerates a worker that crashes until its dependencies
// are available.
const patience = "see its log for the reason; if it only waits for something that comes up later, " +
	"allow more restarts with deploy.restarts in .sbw.yaml"

// crash describes why a container ended.
func (j *judgement) crash(pod *corev1.Pod, c container, last *corev1.ContainerStateTerminated, times int32) *Cause {
	name := fmt.Sprintf("%s %s of pod %s", c.kind(), c.spec.Name, pod.Name)
	often := "once"
	if times > 1 {
		often = fmt.Sprintf("%d times", times)
	}
	code, how := "?", ""
	if last != nil {
		code = fmt.Sprint(last.ExitCode)
		how = last.Message
	}
	if how == "" {
		how = CauseLine(j.Logs[Container{Pod: pod.Name, Name: c.spec.Name}])
	}
	if how != "" {
		how = ": " + termtext.Line(how)
	}
	if last != nil && last.Reason == oomKilled {
		limit := "it has no limit of its own"
		if q, ok := c.spec.Resources.Limits[corev1.ResourceMemory]; ok {
			limit = "its limit is " + q.String()
		}
		return transient(
			CodeOOMKilled,
			name+" ran out of memory",
			"OOMKilled "+often+", "+limit,
			"raise resources.limits.memory, or find out what uses it",
		)
	}
	if hook := j.event(pod.UID, c.spec.Name, "FailedPostStartHook"); hook != nil {
		return transient(CodePostStart, name+" was killed because its postStart hook failed", termtext.Line(hook.Message)+", "+often,
			"correct lifecycle.postStart: its command must exist in the image and exit 0")
	}
	if kill := j.event(pod.UID, c.spec.Name, "Killing"); kill != nil {
		for _, probe := range []struct {
			name string
			code pipeline.Code
		}{{"liveness", CodeLiveness}, {"startup", CodeStartup}} {
			if strings.Contains(kill.Message, "failed "+probe.name+" probe") {
				return transient(probe.code, name+" was killed by its "+probe.name+" probe", j.unhealthy(pod, c, probe.name, kill.Message),
					"make the probe's path answer, or allow it more time (initialDelaySeconds, timeoutSeconds, failureThreshold)")
			}
		}
	}
	if last != nil && last.ExitCode == 0 {
		return transient(
			CodeExits,
			name+" does not keep running",
			"it ended "+often+" with exit code 0"+how,
			"its command must keep running as long as the worker should",
		)
	}
	return transient(CodeCrashLoop, name+" crashes at start", fmt.Sprintf("exit code %s, %s%s", code, often, how), patience)
}

// unhealthy returns the probe's answer from the Unhealthy event.
func (j *judgement) unhealthy(pod *corev1.Pod, c container, probe, otherwise string) string {
	var latest *corev1.Event
	for _, e := range j.about[pod.UID] {
		if e.Reason == "Unhealthy" &&
			strings.HasPrefix(strings.ToLower(e.Message), probe) &&
			(e.InvolvedObject.FieldPath == "" || strings.Contains(e.InvolvedObject.FieldPath, "{"+c.spec.Name+"}")) &&
			(latest == nil || EventTime(latest).Before(EventTime(e))) {
			latest = e
		}
	}
	if latest == nil {
		return termtext.Line(otherwise)
	}
	return termtext.Line(latest.Message)
}

// notReady judges a running container. Its probes decide once they have had the time
// that they ask for; an init container has to end.
func (j *judgement) notReady(pod *corev1.Pod, c container) *Cause {
	s := c.status
	if s.State.Running == nil {
		return nil
	}
	running := j.Now.Sub(s.State.Running.StartedAt.Time)
	name := fmt.Sprintf("%s %s of pod %s", c.kind(), s.Name, pod.Name)
	switch {
	case c.init && (running >= initPatience || j.overdue):
		return transient(
			CodeInitRunning,
			name+" has not ended yet",
			"it has run for "+running.Round(time.Second).String()+"; the worker starts once it has ended",
			"see its log for what it waits for; if it is meant to keep running, set its restartPolicy: Always",
		)
	case c.init || s.Ready:
		return nil
	case c.spec.StartupProbe != nil && (s.Started == nil || !*s.Started):
		return j.notStarted(pod, c, name, running)
	case c.sidecar && c.spec.ReadinessProbe == nil:
		return nil
	}
	why := j.unhealthy(pod, c, "readiness", "")
	probe := c.spec.ReadinessProbe
	if why == "" && !j.overdue && (probe == nil || running < delay(probe)+period(probe)*time.Duration(max(1, probe.FailureThreshold))) {
		return nil
	}
	if why == "" {
		why = "the kubelet does not report it as ready" + unanswered(probe, running)
	}
	cause := transient(CodeNotReady, name+" runs but is not ready", why,
		"make the readiness probe's path answer 2xx; the log may show what the container waits for")
	if probe != nil {
		cause.grace += delay(probe)
	}
	return cause
}

// initPatience is how long an init container may run before it is reported as
// what the rollout waits for. It does not fail the rollout, because a migration
// takes its time.
const initPatience = 10 * time.Second

// notStarted judges a container whose startup probe has not succeeded. The
// probe itself says for how long it may fail; after that the kubelet kills the
// container.
func (j *judgement) notStarted(pod *corev1.Pod, c container, name string, running time.Duration) *Cause {
	why := j.unhealthy(pod, c, "startup", "")
	probe := c.spec.StartupProbe
	allowed := delay(probe) + period(probe)*time.Duration(max(1, probe.FailureThreshold))
	what := name + " runs, but its startup probe fails"
	if why == "" {
		if running < allowed && !j.overdue {
			return nil
		}
		what = name + " runs, but its startup probe has not succeeded"
		why = "the kubelet does not report it as started" + unanswered(probe, running)
	}
	cause := transient(CodeNotStarted, what, why,
		"correct the startup probe's path and port, or let the container answer it")
	cause.grace = max(cause.grace, allowed)
	return cause
}

// unanswered adds what is known of a probe about which the kubelet has reported nothing.
func unanswered(p *corev1.Probe, running time.Duration) string {
	text := fmt.Sprintf("; it has run for %s", round(running))
	if p != nil && p.InitialDelaySeconds > 0 {
		text += fmt.Sprintf(", and its probe starts after %s (initialDelaySeconds)", delay(p))
	}
	return text
}

func delay(p *corev1.Probe) time.Duration {
	return time.Duration(p.InitialDelaySeconds) * time.Second
}

func period(p *corev1.Probe) time.Duration {
	return time.Duration(max(1, p.PeriodSeconds)) * time.Second
}

// execFormat matches the kernel's ENOEXEC as runtimes and shells report it.
var execFormat = lazyregexp.New(`(?i)exec format error`)

func isExecFormat(s string) bool { return execFormat.MatchString(s) }

func execFormatLine(s string) string {
	for line := range strings.Lines(s) {
		if isExecFormat(line) {
			return termtext.Line(line)
		}
	}
	return termtext.Line(s)
}

func wrongArchitecture(c container, node, why string) *Cause {
	what := "image " + c.spec.Image + " is built for another architecture"
	if node != "" {
		what += " than node " + node + " has"
	}
	return terminal(CodeExecFormat, what, why, "build it for the node's platform: `gh sbw publish --platform linux/ARCH`")
}
