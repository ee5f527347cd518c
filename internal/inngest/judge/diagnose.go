package judge

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
	"github.com/joelhooks/gh-sbw/internal/lazyregexp"
	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// State is the input of a diagnosis. Everything that could not be read is nil
// or empty.
type State struct {
	Want model.Wanted
	Apps []model.App
	// Served is the worker's own list, and Registered is its answer to the
	// request to register.
	Served     *model.Served
	Registered *model.Registration
	// Failed are runs that failed lately, with their errors.
	Failed []model.Run
	// Failing are active runs whose last attempt failed.
	Failing []model.Run
	// Scheduled are runs since CronsSince, when the app already had its
	// current functions. Zero means that schedules are not checked.
	Scheduled  []model.Run
	CronsSince time.Time
	Now        time.Time
	// Unconnected: the app is in connect mode and no worker is connected.
	// ConnectionUnknown: the server does not say whether one is.
	Unconnected, ConnectionUnknown bool
}

// Diagnose detects what is wrong between a server and a worker. Each finding
// has a cause and a remedy.
func Diagnose(s State) []*pipeline.Finding {
	var all []*pipeline.Finding
	add := func(f *pipeline.Finding) {
		if f != nil {
			all = append(all, f)
		}
	}
	own, err := Choose(s.Apps, s.Want)
	all = append(all, pipeline.AsFindings("cannot choose the app", err)...)
	if s.Served != nil && len(s.Served.Functions) == 0 {
		add(&pipeline.Finding{
			Code: model.CodeNoFunctions, Severity: pipeline.Error, What: fmt.Sprintf("the worker %s serves no functions", s.Want.App),
			Why: "its function index is empty", Fix: "export the functions from the worker's index (index.cluster.ts) and publish again",
		})
	}
	if own == nil {
		if err == nil {
			add(NotRegistered(s))
		}
	} else {
		add(AppError(*own))
		add(StaleURL(*own, s.Want))
		if s.Unconnected {
			add(NotConnected(*own))
		} else {
			add(ConnectMode(*own))
		}
		if s.ConnectionUnknown {
			add(ConnectionUnknown(*own))
		}
		if !s.CronsSince.IsZero() {
			add(SilentCrons(JudgeCrons(*own, s.Scheduled, s.CronsSince, s.Now).Silent))
		}
	}
	add(duplicateApps(s.Apps, s.Want))
	add(duplicateFinding(s.Want.App, Duplicates(s.Apps)))
	add(unreachableRuns(s.Failed))
	add(refusedRuns(s.Failed))
	add(cutOffRuns(s.Failed))
	add(failingRuns(s.Failing, s.CronsSince))
	return all
}

// NotRegistered is the finding about an app that the server does not list.
func NotRegistered(s State) *pipeline.Finding {
	f := &pipeline.Finding{
		Code: model.CodeNotRegistered, Severity: pipeline.Error,
		What: fmt.Sprintf("the app %s is not registered", s.Want.App), Why: "the server's list does not have it",
		Fix: "run `kubectl sbw refresh`",
	}
	if s.Registered != nil && s.Registered.OK() {
		f.Why = fmt.Sprintf("the worker said %q, but the server's list does not have it", s.Registered.Message)
		f.Fix = "the worker registers with another server than this one: compare INNGEST_BASE_URL with inngest.service, " +
			"and INNGEST_APP_ID with inngest.app"
		if s.Served != nil && s.Served.APIOrigin != "" {
			f.Why += "; it registers with " + s.Served.APIOrigin
		}
	}
	for _, a := range s.Apps {
		if a.Name != "" && a.Name != s.Want.App && s.Want.At(a) {
			f.Why += fmt.Sprintf("; at %s it has %s", a.URL, a.Name)
			f.Fix = "set inngest.app in .sbw.yaml to the worker's INNGEST_APP_ID, " + a.Name
		}
	}
	return f
}

// appErrors maps the codes of the last sync of an app (pkg/deploy) to causes
// and remedies.
var appErrors = map[string]struct {
	code     pipeline.Code
	why, fix string
}{
	"unreachable": {
		model.CodeAppUnreachable,
		"the server could not reach its URL",
		"wait until the worker is ready, then run `kubectl sbw refresh`",
	},
	"unauthorized": {
		model.CodeWrongSigningKey,
		"the worker refused the server's signature",
		"give both the same signing key: --signing-key of the server, INNGEST_SIGNING_KEY of the worker",
	},
	"forbidden": {
		model.CodeAppForbidden,
		"something before the worker answered 403",
		"let the server's requests pass to the SDK's path",
	},
	"url_not_found": {
		model.CodeAppNotFound,
		"the worker has no SDK at that path",
		"set inngest.path to where the worker serves the SDK, then `kubectl sbw refresh`",
	},
	"internal_server_error": {model.CodeAppFailed, "the worker answered 500", "read the worker's log"},
	"invalid_signing_key": {
		model.CodeWrongSigningKey,
		"the keys of server and worker differ",
		"give both the same signing key: --signing-key of the server, INNGEST_SIGNING_KEY of the worker",
	},
	"missing_signing_key": {
		model.CodeWrongSigningKey,
		"the worker does not have a signing key",
		"set INNGEST_SIGNING_KEY in the worker's Secret and restart the pods",
	},
	"missing_server_signing_key": {model.CodeWrongSigningKey, "the server does not have a signing key", "start the server with --signing-key"},
	"no_functions": {
		model.CodeNoFunctions,
		"the worker registered no functions",
		"export the functions from the worker's index and publish again",
	},
	"invalid_function": {
		model.CodeInvalidFunction,
		"the server does not accept one of its functions",
		"the server's log says which one it is; fix it and publish again",
	},
	"sdk_version_denied": {
		model.CodeSDKDenied,
		"the server refuses this SDK version because of a known vulnerability",
		"upgrade the worker's inngest package to 3.54.0 or later",
	},
	"unsupported_protocol": {
		model.CodeAppUnreachable,
		"its URL speaks another protocol",
		"advertise http:// for a worker without TLS: inngest.host",
	},
}

// AppError returns the finding for an app whose last registration failed, or
// nil.
func AppError(a model.App) *pipeline.Finding {
	if a.Error == "" {
		return nil
	}
	f := &pipeline.Finding{
		Code: model.CodeAppError, Severity: pipeline.Error, What: fmt.Sprintf("the app %s has the error %s", a.Name, a.Error),
		Why: "the server's last registration of it failed", Fix: "run `kubectl sbw refresh`; if it fails again, read the server's log",
	}
	if known, ok := appErrors[a.Error]; ok {
		f.Code, f.Why, f.Fix = known.code, known.why, known.fix
	}
	return f
}

// StaleURL returns the finding for an app that is registered at another URL,
// or nil.
func StaleURL(a model.App, want model.Wanted) *pipeline.Finding {
	if want.URL == "" || want.At(a) || a.Method == model.MethodConnect {
		return nil
	}
	f := &pipeline.Finding{
		Code: model.CodeStaleURL, Severity: pipeline.Error,
		What: fmt.Sprintf("the app %s is registered at %s", a.Name, a.URL), Why: "the worker is at " + want.URL,
		Fix: "run `kubectl sbw refresh`; if it comes back, set INNGEST_SERVE_HOST (SDK 3) or INNGEST_SERVE_ORIGIN (SDK 4) in the Deployment",
	}
	if strings.Contains(a.URL, "//localhost") {
		f.Why += "; localhost is the server itself: it was registered through a port-forward"
	}
	return f
}

// ConnectMode returns the finding for an app whose worker dials the server, or
// nil.
func ConnectMode(a model.App) *pipeline.Finding {
	if a.Method != model.MethodConnect {
		return nil
	}
	return &pipeline.Finding{
		Code:     model.CodeConnectMode,
		Severity: pipeline.Warning,
		What:     fmt.Sprintf("the app %s is registered by a connected worker", a.Name),
		Why: "in connect mode the worker dials the server and registers by itself; a refresh only waits for that, " +
			"since a PUT would make it a served app",
		Fix: "if it is to serve over HTTP, set INNGEST_CONNECT_MODE=0 in the Deployment and then run `kubectl sbw refresh --resync`",
	}
}

// LeftConnect is the note that an app in connect mode becomes one that is served
// over HTTP.
func LeftConnect(a model.App) *pipeline.Finding {
	return &pipeline.Finding{
		Code:     model.CodeLeftConnect,
		Severity: pipeline.Note,
		What:     fmt.Sprintf("the app %s leaves connect mode", a.Name),
		Why:      "its worker serves its functions over HTTP and nothing is connected to the server",
	}
}

// NotConnected is the finding about an app in connect mode with no worker connected.
func NotConnected(a model.App) *pipeline.Finding {
	return &pipeline.Finding{
		Code:     model.CodeNotConnected,
		Severity: pipeline.Error,
		What:     fmt.Sprintf("no worker is connected for the app %s", a.Name),
		Why:      "it is registered in connect mode, so its runs wait until a worker dials the server",
		Fix: "check that the worker runs and that INNGEST_CONNECT_GATEWAY_URL or INNGEST_BASE_URL leads to the server; " +
			"if it is to serve over HTTP, set INNGEST_CONNECT_MODE=0 and run `kubectl sbw refresh`",
	}
}

// ConnectionUnknown is the warning about an app in connect mode of which the server
// does not say whether a worker is connected.
func ConnectionUnknown(a model.App) *pipeline.Finding {
	return &pipeline.Finding{
		Code:     model.CodeConnectionUnknown,
		Severity: pipeline.Warning,
		What:     fmt.Sprintf("it is not known whether a worker is connected for the app %s", a.Name),
		Why:      "it is registered in connect mode, and this server does not list the connections of workers",
		Fix:      "read the worker's log, or use a server of version 1.43 or later",
	}
}

func duplicateApps(apps []model.App, want model.Wanted) *pipeline.Finding {
	var rows []string
	for _, a := range apps {
		if a.Name == want.App || a.Name != "" && want.At(a) {
			rows = append(rows, fmt.Sprintf("%s at %s, %s", a.Name, a.URL, Count(len(a.Functions), "function")))
		}
	}
	if len(rows) < 2 {
		return nil
	}
	return &pipeline.Finding{
		Code: model.CodeDuplicateApps, Severity: pipeline.Warning, Evidence: rows,
		What: fmt.Sprintf("%d apps are registered for the worker %s", len(rows), want.App), Why: "every event makes one run in each of them",
		Fix: "run `kubectl sbw refresh --prune-stale`",
	}
}

func unreachableRuns(failed []model.Run) *pipeline.Finding {
	lost := slices.DeleteFunc(slices.Clone(failed), func(r model.Run) bool { return !IsUnreachable(r.Error) })
	if len(lost) == 0 {
		return nil
	}
	return &pipeline.Finding{
		Code:     model.CodeSDKUnreachable,
		Severity: pipeline.Warning,
		Evidence: runLines(lost),
		What:     fmt.Sprintf("%s failed because the server could not reach the worker", Count(len(lost), "run")),
		Why:      lost[0].Error,
		Fix: "check that the pod is ready and that the app's URL is the worker's Service; " +
			"then run `kubectl sbw refresh`, and start the runs that matter again with `kubectl sbw runs --rerun RUN`",
	}
}

// badSignature contains the server's messages for a call that a worker refused
// with 401.
var badSignature = lazyregexp.New(`sig_verification_failed|status code: 401|returned HTTP 401`)

// refusedRuns finds runs that the worker refused because the server's key is
// another one.
func refusedRuns(failed []model.Run) *pipeline.Finding {
	refused := slices.DeleteFunc(slices.Clone(failed), func(r model.Run) bool {
		return !badSignature.MatchString(r.Error)
	})
	if len(refused) == 0 {
		return nil
	}
	return &pipeline.Finding{
		Code: model.CodeWrongSigningKey, Severity: pipeline.Error, Evidence: runLines(refused),
		What: fmt.Sprintf("%s failed because the worker refused the server's signature", Count(len(refused), "run")), Why: refused[0].Error,
		Fix: "give both the same signing key: --signing-key of the server, INNGEST_SIGNING_KEY of the worker",
	}
}

// reset contains the server's messages for a request that was cut off while
// the worker was processing it.
var reset = lazyregexp.New(`Your server (?:reset the connection|closed the request|connection experienced a timeout)|connection reset|EOF`)

// cutOffRuns finds steps whose attempts were all cut off after the same time.
func cutOffRuns(failed []model.Run) *pipeline.Finding {
	cut := slices.DeleteFunc(slices.Clone(failed), func(r model.Run) bool { return r.CutAfter == 0 || !reset.MatchString(r.Error) })
	if len(cut) == 0 {
		return nil
	}
	return &pipeline.Finding{
		Code:     model.CodeStepCutOff,
		Severity: pipeline.Warning,
		Evidence: runLines(cut),
		What: fmt.Sprintf(
			"each attempt of step %q of %s was cut off after about %s",
			cut[0].Step,
			cut[0].Slug,
			cut[0].CutAfter.Round(time.Second),
		),
		Why: "Bun closes a request that stays silent for longer than idleTimeout: 10 s by default, 255 s at most",
		Fix: "set idleTimeout: 0 in Bun.serve, or let the SDK stream (streaming: \"force\" in serve)",
	}
}

// failingRuns finds active runs in whose last attempt the server could not
// reach the worker. If that was after the last rollout, it is an error: the
// worker looks healthy, but no run makes progress.
func failingRuns(failing []model.Run, since time.Time) *pipeline.Finding {
	lost := slices.DeleteFunc(slices.Clone(failing), func(r model.Run) bool { return !IsUnreachable(r.Error) })
	if len(lost) == 0 {
		return nil
	}
	f := &pipeline.Finding{
		Code: model.CodeSDKUnreachable, Severity: pipeline.Warning, Evidence: runLines(lost),
		What: fmt.Sprintf("%s not make progress because the server could not reach the worker", do(len(lost), "run")), Why: lost[0].Error,
		Fix: "check that the app's URL is the worker's Service, and its port and targetPort; then run `kubectl sbw refresh`",
	}
	for _, r := range lost {
		if !since.IsZero() && r.FailedAt.After(since.Add(clockSkew)) {
			f.Severity = pipeline.Error
		}
	}
	return f
}

func do(n int, thing string) string {
	if n == 1 {
		return "1 " + thing + " does"
	}
	return fmt.Sprintf("%d %ss do", n, thing)
}

func runLines(runs []model.Run) []string {
	var all []string
	for _, r := range runs {
		all = append(all, fmt.Sprintf("%s %s at %s: %s", r.ID, r.Slug, r.Ended.Format(time.DateTime), r.Error))
	}
	return all
}
