package inngestd_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
)

func signature(key, body string) string {
	key = strings.TrimPrefix(key, "signkey-test-")
	now := fmt.Sprint(time.Now().Unix())
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(body + now))
	return "t=" + now + "&s=" + hex.EncodeToString(mac.Sum(nil))
}

// sdkRecordings maps each recording to its worker.
var sdkRecordings = map[string]string{
	"sdk-get-unsigned":               "three",
	"sdk-get-signed":                 "three",
	"sdk-put-in-band":                "three",
	"sdk-put-in-band-bad-signature":  "three",
	"sdk-put-out-of-band-unchanged":  "three",
	"sdk-put-wrong-server-kind":      "three",
	"sdk-put-out-of-band-first":      "host",
	"sdk-put-wrong-signing-key":      "wrong",
	"sdk4-get-unsigned":              "four",
	"sdk4-get-signed":                "four",
	"sdk4-put-in-band":               "four",
	"sdk4-put-in-band-bad-signature": "four",
	"sdk4-put-out-of-band-first":     "four",
}

// TestReplaySDK sends the requests that were recorded with workers to real
// workers that use the double, because their answers depend on the server's.
func TestReplaySDK(t *testing.T) {
	k := newKit(t, inngestd.Options{})
	start := func(sdk, app string, env map[string]string) *npmworkers.Process {
		env["INNGEST_APP_ID"] = app
		env["INNGEST_SERVE_HOST"], env["INNGEST_SERVE_ORIGIN"] = "http://127.0.0.1:$PORT", "http://127.0.0.1:$PORT"
		return k.worker(sdk, nil, env)
	}
	three := start(npmworkers.SDK3, "system-bus-cluster", map[string]string{"FUNCTIONS": "approval-request,voice-missed-call,queue-observer"})
	host := start(npmworkers.SDK3, "system-bus-host", map[string]string{"FUNCTIONS": "approval-request,voice-missed-call,queue-observer"})
	wrong := start(npmworkers.SDK3, "system-bus-wrong", map[string]string{"INNGEST_SIGNING_KEY": "signkey-test-ffffffffffffffffffffffffffffffff"})
	four := start(npmworkers.SDK4, "v4-worker", map[string]string{"FUNCTIONS": "approval-request,zero,hourly", "APPROVAL_EVENT": "v4/requested"})
	k.mustRegister(three)

	workers := map[string]*npmworkers.Process{"three": three, "host": host, "wrong": wrong, "four": four}
	ports := map[string]string{"three": "3111", "host": "3112", "wrong": "3113", "four": "3114"}
	for name, worker := range sdkRecordings {
		to, port := workers[worker], ports[worker]
		t.Run(name, func(t *testing.T) {
			r := readRecording(t, name)
			there := strings.NewReplacer("127.0.0.1:"+port, strings.TrimPrefix(to.URL(), "http://"))
			back := strings.NewReplacer(
				strings.TrimPrefix(to.URL(), "http://"), "127.0.0.1:"+port,
				strings.TrimPrefix(k.url, "http://"), "127.0.0.1:8288",
			)
			body := there.Replace(string(r.Request.Body))
			if body == "null" {
				body = ""
			}
			body = strings.Join(strings.Fields(body), "") // The canonical form was signed; it has no spaces.
			req, err := http.NewRequestWithContext(k.ctx, r.Request.Method, there.Replace(r.Request.URL), strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			for name, v := range r.Request.Headers {
				if name == "X-Inngest-Signature" && v != "t=1&s=00" {
					v = signature(signingKey, body)
				}
				req.Header.Set(name, v)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != r.Response.Status {
				t.Errorf("status %d, recorded %d: %s", resp.StatusCode, r.Response.Status, got)
			}
			for name, want := range r.Response.Headers {
				switch strings.ToLower(name) {
				case "content-type", "user-agent", "x-inngest-sdk", "x-inngest-framework", "x-inngest-req-version", "x-inngest-sync-kind",
					"x-inngest-sdk-handled", "x-inngest-expected-server-kind":
					if got := resp.Header.Get(name); got != want {
						t.Errorf("%s: %q, recorded %q", name, got, want)
					}
				}
			}
			if diff := cmp.Diff(withoutKeys(r.Response.Body), withoutKeys(parsed([]byte(back.Replace(string(got)))))); diff != "" {
				t.Errorf("body (-recorded +here):\n%s", diff)
			}
		})
	}
}

// withoutKeys removes the hashes of keys, because the keys differ here.
func withoutKeys(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for _, in := range []any{m, m["inspection"]} {
		if in, ok := in.(map[string]any); ok && in["signing_key_hash"] != nil {
			in["signing_key_hash"], in["event_key_hash"] = "<hash>", "<hash>"
		}
	}
	return m
}
