package wire

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestAnEchoedKeyIsNotRepeated: wherever a server repeats a key in its answer,
// no message contains a part of it, whether or not the answer was truncated.
func TestAnEchoedKeyIsNotRepeated(t *testing.T) {
	const bearer, event = "0123456789abcdef0123456789abcdef0123456789abcdef", "event-key-of-this-server"
	for _, at := range []int{0, 100, 270, 290, 299, 1000} {
		for _, form := range []string{"%", `{"error":"%"}`, `{"message":"%"}`, `{"errors":[{"message":"%"}]}`} {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusBadRequest)
				echo := strings.Repeat("x", at) + " " + r.Header.Get("Authorization") + " " + r.URL.Path
				_, _ = w.Write([]byte(strings.ReplaceAll(form, "%", echo)))
			}))
			reply, err := Endpoint{BaseURL: srv.URL}.Send(t.Context(), ServerEnd, Request{
				Method: http.MethodPost, Path: "/e/" + event, Header: http.Header{"Authorization": {"Bearer " + bearer}},
			})
			srv.Close()
			if err != nil {
				t.Fatal(err)
			}
			text := Refused("send an event", reply).Error()
			if strings.Contains(text, bearer[:8]) || strings.Contains(text, event[:8]) {
				t.Errorf("after %d characters, as %s: %s", at, form, text)
			}
		}
	}
}
