package npmworkers_test

import (
	"context"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/joelhooks/gh-sbw/internal/sandbox/npmworkers"
	"github.com/joelhooks/gh-sbw/internal/sandbox/require"
)

// TestStart runs each SDK under each runtime and requests its page.
func TestStart(t *testing.T) {
	dir := filepath.Join(require.Dir(t), "npm")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	if err := npmworkers.Install(ctx, dir); err != nil {
		t.Fatal(err)
	}
	if !npmworkers.Installed(dir) {
		t.Fatal("Installed reports false after Install")
	}
	runtimes := map[string][]string{"bun": nil, "node": {require.Tool(t, "node")}}
	for name, argv := range runtimes {
		for _, sdk := range []string{npmworkers.SDK3, npmworkers.SDK4} {
			t.Run(sdk+" under "+name, func(t *testing.T) {
				p, err := npmworkers.Start(ctx, npmworkers.Options{Dir: dir, Name: sdk, Argv: argv, Env: map[string]string{"INNGEST_DEV": "0"}})
				if err != nil {
					t.Fatal(err)
				}
				defer p.Kill()
				resp, err := http.Get(p.URL())
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				body, _ := io.ReadAll(resp.Body)
				if resp.StatusCode != http.StatusOK {
					t.Errorf("GET /: %s %s", resp.Status, body)
				}
				if p.Lines()[0].SDK != sdk {
					t.Errorf("runs SDK %s", p.Lines()[0].SDK)
				}
			})
		}
	}
}
