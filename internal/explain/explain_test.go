package explain

import (
	"slices"
	"strings"
	"testing"
)

// lookUp returns the page for a text that leads to only one.
func lookUp(query string) (Entry, bool) {
	found := Candidates(query)
	if len(found) != 1 {
		return Entry{}, false
	}
	return found[0], true
}

// TestGotchas: problems that people ran into before sbw, in their own words, lead to the
// right entry.
func TestGotchas(t *testing.T) {
	for problem, code := range map[string]string{
		"`exec format error` in pod":       "exec-format",
		"exec format error":                "exec-format",
		"Built for amd64, not arm64":       "exec-format",
		"docker-credential-desktop error":  "docker-credential-helper",
		"Docker config has credsStore":     "docker-credential-helper",
		"Function missing after deploy":    "catalog-orphan",
		"Not in index file":                "catalog-orphan",
		"Function still missing":           "inngest-registration-differs",
		"Stale Inngest registration":       "inngest-registration-differs",
		"\"Unable to reach SDK URL\"":      "inngest-sdk-unreachable",
		"Runs stuck after deploy":          "inngest-zero-retries",
		"`retries: 0` on the function":     "inngest-zero-retries",
		"Stale app registrations":          "inngest-stale-apps",
		"Multiple apps registered":         "inngest-duplicate-apps",
		"Inngest dashboard (`:8289`)":      "inngest-stale-apps",
		"Rebuild with --platform linux/am": "image-platform",
	} {
		if e, ok := lookUp(problem); !ok || e.Code != code {
			t.Errorf("%q leads to %q (%v), want %q", problem, e.Code, ok, code)
		}
	}
}

// TestLookup looks up lines as people copy them from terminals.
func TestLookup(t *testing.T) {
	for query, code := range map[string]string{
		"exec-format":  "exec-format",
		"Exec-Format.": "exec-format",
		"tag exists":   "tag-exists",
		"exec /usr/local/bin/bun: exec format error":                                                                                              "exec-format",
		"  denied: permission_denied: The token provided does not match expected scopes.":                                                         "token-scope",
		"denied: permission_denied: write_package":                                                                                                "package-permission",
		`error getting credentials - err: exec: "docker-credential-desktop": executable file not found in $PATH, out: `:                           "docker-credential-helper",
		"error: timed out waiting for the condition":                                                                                              "rollout-timeout",
		"0/1 nodes are available: 1 Insufficient memory. preemption: 0/1 nodes":                                                                   "unschedulable",
		"pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\"":                                                                     "pod-security",
		"The connection to the server localhost:6443 was refused - did you specify the right host or port?":                                       "cluster-unreachable",
		"rpc error: code = NotFound desc = failed to pull and unpack image \"ghcr.io/a/b:c\": failed to resolve reference \"ghcr.io/a/b:c\": n/f": "image-not-found",
		"Waiting for deployment \"w\" rollout to finish: 1 old replicas are pending termination...":                                               "old-pods-left",
		"Failed to register; Inngest server replied with status code: 401":                                                                        "inngest-wrong-signing-key",
		"denied: unauthorized: unauthenticated: User cannot be authenticated with the token provided.":                                            "registry-denied",
		"unauthorized: unauthenticated":                                                                                                           "registry-denied",
		`Error from server (Forbidden): deployments.apps "w" is forbidden: User "jo" cannot patch resource "deployments"`:                         "cluster-forbidden",
		"forbidden: User jo cannot": "cluster-forbidden",
		`Get "https://ghcr.io/v2/": dial tcp 140.82.121.34:443: connect: connection refused`:                 "registry-unreachable",
		`Get "https://127.0.0.1:6443/api?timeout=32s": dial tcp 127.0.0.1:6443: connect: connection refused`: "cluster-unreachable",
		`Post "http://127.0.0.1:8288/v0/gql": dial tcp 127.0.0.1:8288: connect: connection refused`:          "inngest-unreachable",
		`dial tcp: lookup inngest-svc: connection refused`:                                                   "inngest-unreachable",
		`Error: Duplicate function ID "cluster/agent-dispatch"`:                                              "catalog-duplicate-id",
		// Messages from public issue trackers.
		"ERROR: failed to solve: failed to push ghcr.io/o/r:latest: unexpected status from HEAD request to https://ghcr.io/v2/o/r/blobs/sha256:f698: 403 Forbidden": "registry-denied",
		"buildx failed with: ERROR: denied: permission_denied: write_package":                                                                                       "package-permission",
		"Error: trying to reuse blob sha256:b2d5 at destination: failed to read from destination repository o/i: 403 (Forbidden)":                                   "registry-denied",
		"Error: Inngest API Error: 401 Event key not found":                                                                                                         "inngest-key-refused",
		":8288/e/browser-client-no-key:1  Failed to load resource: net::ERR_CONNECTION_REFUSED":                                                                     "inngest-unreachable",
		"The Inngest Server can't find your application.":                                                                                                           "inngest-app-unreachable",
		`Failed to pull image "ghcr.io/o/w:1": rpc error: code = Unknown desc = failed to pull and unpack image: failed to do request: Head "https://ghcr.io/v2/o/w/manifests/1": dial tcp 140.82.121.33:443: i/o timeout`: "image-network",
		"failed to pull image: rpc error: dial tcp: connect: connection refused":                                                           "image-network",
		`Liveness probe failed: Get "http://10.244.0.5:3111/": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`: "liveness",
		"Readiness probe failed: dial tcp 10.244.0.5:3111: connect: connection refused":                                                    "not-ready",
		"Unable to connect to the server: getting credentials: exec: executable aws failed with exit code 255":                             "cluster-credentials",
		"getting credentials: exec: executable gke-gcloud-auth-plugin not found":                                                           "cluster-credentials",
		"error: unable to forward port because pod is not running. Current status=Pending":                                                 "service-unready",
		"failed to authorize: failed to fetch anonymous token: unexpected status: 403 Forbidden":                                           "image-denied",
		"Unable to connect to the server: dial tcp: lookup cluster.example.com: no such host":                                              "cluster-unreachable",
		"CrashLoopBackOff": "crash-loop",
		"OOMKilled":        "oom-killed",
		"ImagePullBackOff": "image-pull",
	} {
		if e, ok := lookUp(query); !ok || e.Code != code {
			t.Errorf("%q leads to %q (%v), want %q", query, e.Code, ok, code)
		}
	}
	for _, query := range []string{"", "  ", "\"\"", "zzz", "inngest", "the"} {
		if e, ok := lookUp(query); ok {
			t.Errorf("%q leads to %q", query, e.Code)
		}
	}
}

func TestSuggest(t *testing.T) {
	for query, code := range map[string]string{
		"exec-fromat":            "exec-format",
		"tag-exist":              "tag-exists",
		"docker-credentials":     "docker-credential-helper",
		"inngest zero retrys":    "inngest-zero-retries",
		"locks":                  "locked",
		"signing key differ":     "inngest-wrong-signing-key",
		"quota of namespace":     "quota",
		"revision unknoun":       "revision-unknown",
		"stale registration x":   "inngest-stale-apps",
		"connection refused":     "registry-unreachable",
		" Connection refused ":   "cluster-unreachable",
		"\"connection refused\"": "inngest-unreachable",
	} {
		if got := Suggest(query); !slices.Contains(got, code) || len(got) > maxSuggestions {
			t.Errorf("Suggest(%q) = %q, want %q among them", query, got, code)
		}
	}
	for _, query := range []string{"", "zzzzzzzzzzzz"} {
		if got := Suggest(query); got != nil {
			t.Errorf("Suggest(%q) = %q", query, got)
		}
	}
}

// TestEntries: each entry is complete, sorted, and has aliases of its own.
func TestEntries(t *testing.T) {
	alias, code := map[string]string{}, map[string]bool{}
	for _, e := range List() {
		if code[e.Code] {
			t.Errorf("%s occurs twice", e.Code)
		}
		code[e.Code] = true
		if e.Title == "" || e.Cause == "" || e.Remedy == "" || e.Example == "" {
			t.Errorf("%s lacks a title, a cause, a remedy or an example", e.Code)
		}
		if strings.HasSuffix(e.Title, ".") || strings.Contains(e.Title, "\n") || len(e.Title) > 80 {
			t.Errorf("%s: the title should be one short line without a full stop: %q", e.Code, e.Title)
		}
		for _, a := range e.Aliases {
			f := fold(a)
			if len(f) < 3 {
				t.Errorf("%s: the alias %q is too short to mean anything", e.Code, a)
			}
			if other := alias[f]; other != "" {
				t.Errorf("%s and %s have the alias %q", other, e.Code, a)
			}
			alias[f] = e.Code
			var got []string
			for _, c := range Candidates(a) {
				got = append(got, c.Code)
			}
			if shared := generic[f] > 0 || everywhere(f); !slices.Contains(got, e.Code) || !shared && len(got) > 1 {
				t.Errorf("the alias %q of %s leads to %q", a, e.Code, got)
			}
		}
		for _, d := range e.Docs {
			if !strings.HasPrefix(d, "https://") {
				t.Errorf("%s: %q is not a URL", e.Code, d)
			}
		}
	}
	for _, table := range [][]Entry{
		generalEntries, configEntries, identityEntries, registryEntries, buildEntries, contextEntries, imageEntries, layoutEntries, catalogEntries,
		clusterEntries, preflightEntries, manifestEntries, applyEntries, rolloutEntries, blockedEntries, judgedEntries, podEntries, probeEntries,
		inngestServerEntries, inngestAppEntries, inngestRunEntries,
	} {
		for i := 1; i < len(table); i++ {
			if table[i-1].Code >= table[i].Code {
				t.Errorf("%s stands before %s", table[i-1].Code, table[i].Code)
			}
		}
	}
}

func FuzzLookup(f *testing.F) {
	for _, s := range []string{"", "exec-format", "x: exec format error", "'\"`", "\xff\xfe", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, q string) {
		e, ok := lookUp(q)
		if ok && e.Code == "" {
			t.Fatalf("%q: found nothing", q)
		}
		for _, c := range Suggest(q) {
			if _, ok := lookUp(c); !ok {
				t.Fatalf("%q: suggests %q, which does not exist", q, c)
			}
		}
	})
}
