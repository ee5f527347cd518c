// Command inngestpod is the Inngest double as a program: what the sandbox's
// Inngest pod runs. Its keys come from the environment, as the real server's
// do.
package main

import (
	"context"
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
	inngest := inngestd.New(inngestd.Options{
		SigningKey: os.Getenv("INNGEST_SIGNING_KEY"),
		EventKeys:  []string{os.Getenv("INNGEST_EVENT_KEY")},
		Crons:      true,
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
		// In-flight answers may end; what takes longer than a pod's grace is cut.
		grace, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	}
}
