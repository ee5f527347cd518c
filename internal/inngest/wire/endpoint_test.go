package wire

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/inngest/model"
)

func TestNormalizeURL(t *testing.T) {
	for raw, want := range map[string]string{
		"http://127.0.0.1:3111/api/inngest":                "http://localhost:3111/api/inngest",
		"http://0.0.0.0:3111/api/inngest":                  "http://localhost:3111/api/inngest",
		"http://localhost:3111/api/inngest":                "http://localhost:3111/api/inngest",
		"http://w:80/api/inngest":                          "http://w/api/inngest",
		"https://w:443/api/inngest":                        "https://w/api/inngest",
		"https://w:80/api/inngest":                         "https://w:80/api/inngest",
		"http://127.0.0.1/api/inngest":                     "http://127.0.0.1/api/inngest", // without a port, the server does not change it
		"http://w:3111/api/inngest?deployId=1&probe=x&a=b": "http://w:3111/api/inngest?a=b",
		"http://[::1]:3111/api":                            "http://[::1]:3111/api",
		"":                                                 "",
		"://":                                              "://",
	} {
		if got := model.NormalizeURL(raw); got != want {
			t.Errorf("%s: %s, want %s", raw, got, want)
		}
	}
}

func FuzzNormalizeURL(f *testing.F) {
	f.Add("http://127.0.0.1:80/x?probe=1")
	f.Fuzz(func(t *testing.T, raw string) {
		once := model.NormalizeURL(raw)
		if twice := model.NormalizeURL(once); twice != once {
			t.Errorf("%q becomes %q and then %q", raw, once, twice)
		}
	})
}

func TestSigningKey(t *testing.T) {
	const text = "signkey-test-00112233445566778899aabbccddeeff"
	k := NewSigningKey(text + "\n")
	// printf 00112233445566778899aabbccddeeff | xxd -r -p | sha256sum
	if got := k.Bearer(); got != "a8faed6abbf35c12a4b26e40f6feb19d736d90045c83b9f9a31f638d323e6811" {
		t.Errorf("bearer %s", got)
	}
	// printf '%s' '{"url":"x"}1795431528' | openssl dgst -sha256 -hmac 00112233445566778899aabbccddeeff
	if got := k.Sign([]byte(`{"url":"x"}`), time.Unix(1795431528, 0)); got != "t=1795431528&s=ac11756a7e910022a2e93ccd068d7942d8a4e983331140382afcc52d81cb2e61" {
		t.Errorf("signature %s", got)
	}
	for _, printed := range []string{
		fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s %q %x %d", k, k, k, k, k, k, k), fmt.Sprintf("%v", struct{ K SigningKey }{k}), fmt.Sprintf("%+v", &k),
	} {
		if strings.Contains(printed, "0011") || strings.Contains(printed, "3030") {
			t.Errorf("the key is in %s", printed)
		}
	}
	raw, err := json.Marshal(map[string]any{"k": k, "e": NewEventKey("0011")})
	if err != nil || strings.Contains(string(raw), "0011") {
		t.Errorf("the key is in %s (%v)", raw, err)
	}
	for bad, why := range map[string]string{"": "empty", "signkey-test-": "empty", "abc": "odd", "signkey-prod-zz": "not hexadecimal"} {
		err := NewSigningKey(bad).Check()
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %v, want %s", bad, err, why)
		}
	}
	if err := k.Check(); err != nil {
		t.Error(err)
	}
}

func TestEndpointBase(t *testing.T) {
	for raw, ok := range map[string]bool{
		"http://localhost:8288": true, "https://inngest.example": true, "http://h:1/prefix/": true,
		"": false, "localhost:8288": false, "ftp://h": false, "http://": false, "http://h:x": false, "h": false,
	} {
		_, err := Endpoint{BaseURL: raw}.Base("test")
		if (err == nil) != ok {
			t.Errorf("%q: %v", raw, err)
		}
	}
}
