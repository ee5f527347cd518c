// Command inngestpod runs the Inngest double; the sandbox's Inngest pod runs
// it. Like the real server, it reads its keys from the environment. It keeps its state
// in the file INNGEST_STATE_FILE if that is set.
package main

import (
	"context"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/joelhooks/gh-sbw/internal/sandbox/inngestd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := serve(ctx, log); err != nil {
		stop()
		log.Error("the Inngest server ended", "error", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context, log *slog.Logger) error {
	// The real server refuses a prefix such as signkey-prod-, too (1.43 and the newest).
	if key, err := hex.DecodeString(os.Getenv("INNGEST_SIGNING_KEY")); err != nil || len(key) == 0 {
		return errors.New("signing-key must be hex string with even number of chars")
	}
	inngest := inngestd.New(inngestd.Options{
		SigningKey: os.Getenv("INNGEST_SIGNING_KEY"),
		EventKeys:  []string{os.Getenv("INNGEST_EVENT_KEY")},
		Crons:      true,
		File:       os.Getenv("INNGEST_STATE_FILE"),
		Log:        log,
	})
	defer inngest.Close()
	server := &http.Server{Addr: ":8288", Handler: inngest, ReadHeaderTimeout: time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.ListenAndServe() }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		// Requests in progress may finish; those that take longer than a pod's
		// grace period are cut off.
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		inngest.Drain()
		return nil
	}
}
