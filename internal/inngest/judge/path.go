package judge

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// Path is the path of the server's requests as far as the cluster shows it:
// URL, Service, port, pods.
type Path struct {
	URL string // the worker's, as it registers it
	// ServePath replaces the path of the URL if the worker's environment sets
	// it (INNGEST_SERVE_PATH).
	ServePath string
	// Namespace and Service are what the host of the URL refers to for the
	// server.
	Namespace, Service string
	Server             string // the server's namespace
	Found              bool   // the Service exists
	External           bool   // it is of type ExternalName, or has no selector
	Ports              []int
	// Target is the number of the pods' port behind the URL's port; 0 if no
	// container has a port with the name TargetName.
	Target     int
	TargetName string
	Port       int // where the worker listens, as far as we know
	// Ours and Others are the ready pods behind the Service, by name.
	Ours, Others []string
	// Selects reports whether the Service's selector matches the workload's
	// pods, whether or not they are ready.
	Selects bool
	Pods    int // of the workload
}

// JudgePath reports where the path from the server to the worker is broken. It
// does not judge anything outside the cluster.
func JudgePath(p Path) []*pipeline.Finding {
	u, err := url.Parse(p.URL)
	if err != nil {
		return nil // sdk.New refuses it
	}
	fail := func(what, why, fix string) []*pipeline.Finding {
		return []*pipeline.Finding{{
			Code: model.CodePathBroken, Severity: pipeline.Error, Where: p.URL, What: what, Why: why, Fix: fix,
		}}
	}
	host := "set inngest.host in .sbw.yaml, or INNGEST_SERVE_HOST (SDK 3) or INNGEST_SERVE_ORIGIN (SDK 4) in the manifest, " +
		"to the worker's Service"
	if p.ServePath != "" && strings.Trim(p.ServePath, "/") != strings.Trim(u.Path, "/") {
		return fail(fmt.Sprintf("the worker would register the path %s, but the SDK is served at %s", p.ServePath, u.Path),
			"INNGEST_SERVE_PATH replaces the path in what the worker registers, and the server would call the wrong one",
			"unset INNGEST_SERVE_PATH in the manifest, or set inngest.path in .sbw.yaml to where the SDK is served")
	}
	switch {
	case p.Service == "" || p.External:
		return nil
	case !p.Found:
		why := fmt.Sprintf("Service %s does not exist in namespace %s", p.Service, p.Namespace)
		if p.Namespace == p.Server && !strings.Contains(u.Hostname(), ".") {
			why += ", where the server runs and resolves the short name"
		}
		return fail(fmt.Sprintf("the Inngest server cannot reach the worker at %s", p.URL), why, host)
	case !slices.Contains(p.Ports, portOf(u)):
		return fail(fmt.Sprintf("the Inngest server cannot reach the worker at %s", p.URL),
			fmt.Sprintf("Service %s does not have port %d, but %s", p.Service, portOf(u), numbers(p.Ports)), host)
	case !p.Selects:
		return fail(fmt.Sprintf("the Inngest server cannot reach the worker at %s", p.URL),
			fmt.Sprintf("the selector of Service %s does not match the worker's pods", p.Service),
			"correct the Service's selector, or the labels of the pod template")
	case p.TargetName != "" && p.Target == 0:
		return fail(
			fmt.Sprintf("the Inngest server cannot reach the worker at %s", p.URL),
			fmt.Sprintf(
				"Service %s sends port %d to the port named %q, which no container of the worker's pods has",
				p.Service,
				portOf(u),
				p.TargetName,
			),
			"correct targetPort of the Service, or the names of the container's ports",
		)
	}
	return nil
}

// JudgeEndpoints reports whether requests to the worker's Service reach ready pods
// of the workload, and only those.
func JudgeEndpoints(p Path) []*pipeline.Finding {
	if p.Service == "" || !p.Found || p.External || !p.Selects {
		return nil // JudgePath reports it
	}
	if len(p.Ours) == 0 {
		return []*pipeline.Finding{{
			Code: model.CodePathBroken, Severity: pipeline.Error, Where: p.URL,
			What: fmt.Sprintf("Service %s does not have a ready pod of the worker behind it", p.Service),
			Why:  fmt.Sprintf("0 of its %s are ready", Count(p.Pods, "pod")), Fix: "run `kubectl sbw status` to see what is wrong with the pods",
		}}
	}
	if len(p.Others) == 0 {
		return nil
	}
	return []*pipeline.Finding{{
		Code: model.CodePathShared, Severity: pipeline.Warning, Where: p.URL, Evidence: p.Others,
		What: fmt.Sprintf("Service %s also selects %s of other workloads", p.Service, Count(len(p.Others), "pod")),
		Why:  "the server's requests go to them as well", Fix: "narrow the Service's selector to the worker's own labels",
	}}
}

func portOf(u *url.URL) int {
	if n, err := strconv.Atoi(u.Port()); err == nil {
		return n
	}
	if u.Scheme == "https" {
		return 443
	}
	return 80
}

func numbers(all []int) string {
	var texts []string
	for _, n := range all {
		texts = append(texts, strconv.Itoa(n))
	}
	return strings.Join(texts, ", ")
}
