package verdict

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/joelhooks/gh-sbw/internal/cluster/plain"
	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Reasons that the kubelet gives (pkg/kubelet/images/types.go,
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

// ofContainer is what is wrong with one container.
func (j *judgement) ofContainer(pod *corev1.Pod, c container) *Cause {
	s := c.status
	if w := s.State.Waiting; w != nil {
		switch w.Reason {
		case errImagePull, imagePullBackOff, registryDown, imageInspectError, signatureInvalid:
			return pull(c.spec.Image, j.pullMessage(pod, c))
		case errImageNeverPull:
			return terminal("image-never", "image "+c.spec.Image+" is not on the node", plain.Line(w.Message), "set imagePullPolicy to IfNotPresent or Always")
		case invalidImageName:
			return terminal("image-name", fmt.Sprintf("%q is no valid image name", c.spec.Image), plain.Line(w.Message), "correct the image in the manifest")
		case configError:
			return config(pod, c, w.Message)
		case createError:
			if strings.Contains(w.Message, "no command specified") {
				return terminal("command-not-found", fmt.Sprintf("container %s has no command", s.Name), plain.Line(w.Message), "give the image a CMD or ENTRYPOINT")
			}
			return transient("container-create", fmt.Sprintf("container %s of pod %s cannot be created", s.Name, pod.Name), plain.Line(w.Message), "see the message; the node's runtime may need care")
		case runError:
			return run(pod, c, w.Message)
		}
	}
	return j.ended(pod, c)
}

// pullMessage is why a pull failed. The state of a pod in back-off tells it
// only on newer kubelets; the Failed event always does.
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

// config words CreateContainerConfigError, which the kubelet repeats for ever.
func config(pod *corev1.Pod, c container, message string) *Cause {
	why := plain.Line(message)
	switch {
	case strings.Contains(message, "runAsNonRoot") || strings.Contains(message, "non-numeric user"):
		return terminal("run-as-root", fmt.Sprintf("container %s may not run as root, and its image does", c.spec.Name), why,
			"give the image a numeric USER, or set securityContext.runAsUser")
	case strings.Contains(message, "not found") || strings.Contains(message, "couldn't find key"):
		return transient("config-missing", fmt.Sprintf("container %s of pod %s wants what is not there", c.spec.Name, pod.Name), why,
			"create the Secret or ConfigMap (or its key) that is named, in this namespace")
	}
	return transient("config", fmt.Sprintf("container %s of pod %s cannot be configured", c.spec.Name, pod.Name), why, "see the message")
}

// run words a container that was created and could not be started.
func run(pod *corev1.Pod, c container, message string) *Cause {
	why := after(plain.Line(message), "unable to start container process")
	switch {
	case isExecFormat(message):
		return wrongArchitecture(c, "", why)
	case strings.Contains(message, "exec:") || strings.Contains(message, "executable file not found"):
		return terminal("command-not-found", fmt.Sprintf("container %s: its command cannot be executed", c.spec.Name), why,
			"correct command: in the manifest, or CMD/ENTRYPOINT in the Dockerfile")
	}
	return transient("container-run", fmt.Sprintf("container %s of pod %s cannot be started", c.spec.Name, pod.Name), why, "see the message; the node's runtime may need care")
}

// ended judges a container that was started and did not stay.
func (j *judgement) ended(pod *corev1.Pod, c container) *Cause {
	s := c.status
	last := s.LastTerminationState.Terminated
	ends := s.RestartCount
	switch {
	case s.State.Terminated != nil:
		last, ends = s.State.Terminated, ends+1
		if c.init && last.ExitCode == 0 {
			return nil
		}
	case s.State.Waiting != nil && s.State.Waiting.Reason == crashLoopBackOff:
		// It waits to be restarted: one end more than it has had restarts. A busy
		// kubelet shows the end itself (terminated) not at all.
		ends++
	}
	if last == nil && ends == 0 {
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
	if s.State.Running != nil && ends <= j.policy.Restarts {
		// It is up again, and the probe has the word.
		return j.notReady(pod, c)
	}
	cause := j.crash(pod, c, last, ends)
	cause.Terminal = ends > j.policy.Restarts
	return cause
}

// crash words why a container ended.
func (j *judgement) crash(pod *corev1.Pod, c container, last *corev1.ContainerStateTerminated, ends int32) *Cause {
	name := fmt.Sprintf("container %s of pod %s", c.spec.Name, pod.Name)
	times := "once"
	if ends > 1 {
		times = fmt.Sprintf("%d times", ends)
	}
	code, how := "?", ""
	if last != nil {
		code = fmt.Sprint(last.ExitCode)
		if last.Message != "" {
			how = ": " + plain.Line(last.Message)
		}
	}
	if last != nil && last.Reason == oomKilled {
		limit := "without a limit of its own"
		if q, ok := c.spec.Resources.Limits[corev1.ResourceMemory]; ok {
			limit = "its limit is " + q.String()
		}
		return transient("oom-killed", name+" ran out of memory", "OOMKilled "+times+", "+limit, "raise resources.limits.memory, or find what takes it")
	}
	if kill := j.event(pod.UID, c.spec.Name, "Killing"); kill != nil {
		for probe, code := range map[string]pipeline.Code{"liveness": "liveness", "startup": "startup"} {
			if strings.Contains(kill.Message, "failed "+probe+" probe") {
				return transient(code, name+" was killed by its "+probe+" probe", j.unhealthy(pod, c, probe, kill.Message),
					"let the probe's path answer, or give it more time (initialDelaySeconds, timeoutSeconds, failureThreshold)")
			}
		}
	}
	if last != nil && last.ExitCode == 0 {
		return transient("exits", name+" does not keep running", "it ended "+times+" with exit code 0"+how, "its command must not return while the worker is wanted")
	}
	return transient("crash-loop", name+" crashes at start", fmt.Sprintf("exit code %s, %s%s", code, times, how), "its log says why")
}

// unhealthy is the probe's answer, from the Unhealthy event.
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
		return plain.Line(otherwise)
	}
	return plain.Line(latest.Message)
}

// notReady judges a container that runs: only its readiness probe can be what
// is wrong, and only once it had the time it asked for.
func (j *judgement) notReady(pod *corev1.Pod, c container) *Cause {
	s := c.status
	if s.State.Running == nil || s.Ready || c.init {
		return nil
	}
	why := j.unhealthy(pod, c, "readiness", "")
	probe := c.spec.ReadinessProbe
	if why == "" && (probe == nil || j.Now.Sub(s.State.Running.StartedAt.Time) < delay(probe)+period(probe)*time.Duration(max(1, probe.FailureThreshold))) {
		return nil
	}
	if why == "" {
		why = "it runs, and the kubelet does not call it ready"
	}
	cause := transient("not-ready", fmt.Sprintf("container %s of pod %s runs and is not ready", s.Name, pod.Name), why,
		"let the readiness probe's path answer 2xx; the log may say what it waits for")
	if probe != nil {
		cause.grace += delay(probe)
	}
	return cause
}

func delay(p *corev1.Probe) time.Duration {
	return time.Duration(p.InitialDelaySeconds) * time.Second
}

func period(p *corev1.Probe) time.Duration {
	return time.Duration(max(1, p.PeriodSeconds)) * time.Second
}

// execFormat is what the kernel's ENOEXEC becomes in a runtime's or shell's
// words.
var execFormat = lazyregexp.New(`(?i)exec format error`)

func isExecFormat(s string) bool { return execFormat.MatchString(s) }

func execFormatLine(s string) string {
	for line := range strings.Lines(s) {
		if isExecFormat(line) {
			return plain.Line(line)
		}
	}
	return plain.Line(s)
}

func wrongArchitecture(c container, node, why string) *Cause {
	what := "image " + c.spec.Image + " is built for another architecture"
	if node != "" {
		what += " than node " + node + " has"
	}
	return terminal("exec-format", what, why, "build it for the node's platform: `gh sbw publish --platform linux/ARCH`")
}
