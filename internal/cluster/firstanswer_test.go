package cluster

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/cli-runtime/pkg/genericclioptions"

	"github.com/joelhooks/gh-sbw/internal/pipeline"
)

// answersAfter returns a server that answers after d.
func answersAfter(d time.Duration) http.RoundTripper {
	return roundTripper(func(req *http.Request) (*http.Response, error) {
		select {
		case <-time.After(d):
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader("{}"))}, nil
		case <-req.Context().Done():
			return nil, req.Context().Err()
		}
	})
}

func TestFirstAnswer(t *testing.T) {
	for _, c := range []struct {
		name           string
		requestTimeout time.Duration
		query          string
		earlier        bool // the server has answered before
		after          time.Duration
		want           time.Duration // how long the request takes
		silent         bool
	}{
		{name: "a fast server", after: time.Millisecond, want: time.Millisecond},
		{name: "a slow server", after: 4 * time.Second, want: 4 * time.Second},
		{name: "a silent server", after: time.Hour, want: 5 * time.Second, silent: true},
		{name: "a slow server with a longer limit", requestTimeout: 20 * time.Second, after: 18 * time.Second, want: 18 * time.Second},
		{name: "a silent server with a shorter limit", requestTimeout: time.Second, after: time.Hour, want: 950 * time.Millisecond, silent: true},
		{name: "a watch", query: "?watch=true", after: time.Minute, want: time.Minute},
		{name: "a followed log", query: "?follow=true", after: time.Minute, want: time.Minute},
		{name: "a server that has answered before", earlier: true, after: time.Minute, want: time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tr := &transport{limit: c.requestTimeout, accepted: c.earlier}
				req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example:6443/version"+c.query, nil)
				if err != nil {
					t.Fatal(err)
				}
				begin := time.Now()
				resp, err := tr.firstAnswer(answersAfter(c.after), req)
				if took := time.Since(begin); took != c.want {
					t.Errorf("it took %s, want %s", took, c.want)
				}
				if c.silent {
					f, ok := errors.AsType[*pipeline.Finding](err)
					if !ok || f.Code != CodeUnreachable || !errors.Is(err, errSilent) {
						t.Fatalf("got %v", err)
					}
					if _, failed := tr.state(); failed == nil {
						t.Error("further requests would wait as well")
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				if text, err := io.ReadAll(resp.Body); err != nil || string(text) != "{}" {
					t.Errorf("body %q, %v", text, err)
				}
				if err := resp.Body.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestFirstAnswerCancelled: a request that its caller cancels is not a silent server.
func TestFirstAnswerCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://api.example/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &transport{}
	if _, err := tr.firstAnswer(answersAfter(time.Hour), req); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, failed := tr.state(); failed != nil {
		t.Errorf("got %v", failed)
	}
}

// TestSilentServer connects to a server that accepts connections and never answers.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
		}
	}()
	kubeconfig := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(kubeconfig, []byte(`apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: c}}]
clusters: [{name: c, cluster: {server: "https://`+l.Addr().String()+`", insecure-skip-tls-verify: true}}]
users: [{name: c, user: {token: t}}]
`), 0o600); err != nil {
		t.Fatal(err)
	}
	flags := genericclioptions.NewConfigFlags(true)
	limit := "100ms"
	flags.KubeConfig, flags.Timeout = &kubeconfig, &limit
	conn, err := Connect(flags, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		f, ok := errors.AsType[*pipeline.Finding](conn.Ping(t.Context()))
		if !ok || f.Code != CodeUnreachable || f.Fix == "" {
			t.Errorf("got %+v", f)
		}
	}
	if _, err := conn.Mapper(); err != nil {
		t.Fatal(err)
	}
}
