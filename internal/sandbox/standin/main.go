// Command standin is a worker that does nothing but behave, well or badly, as
// its arguments say: the image of every rollout that the end-to-end tests make
// fail on purpose, and of those whose speed is measured. It is a few megabytes
// and starts in milliseconds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	exit := flag.Int("exit", -1, "end at once with this code")
	eat := flag.Bool("eat", false, "take memory until none is left")
	deaf := flag.Bool("deaf", false, "listen on no port")
	unready := flag.Bool("unready", false, "answer /ready with 503")
	dead := flag.Bool("dead", false, "answer /live with 500")
	broken := flag.Bool("broken", false, "answer / with 500")
	duplicates := flag.Bool("duplicates", false, "serve a function id twice")
	page := flag.String("page", "", "serve this page, in place of the worker's")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if *exit >= 0 {
		fmt.Fprintln(os.Stderr, "standin: this is why it ends")
		os.Exit(*exit)
	}
	if *eat {
		var all [][]byte
		for ctx.Err() == nil {
			b := make([]byte, 16<<20)
			for i := 0; i < len(b); i += os.Getpagesize() {
				b[i] = 1
			}
			all = append(all, b)
		}
		fmt.Fprintln(os.Stderr, len(all))
	}
	if *deaf {
		<-ctx.Done()
		return
	}
	text := *page
	if text == "" {
		text = fmt.Sprintf(
			`{"count":2,"functions":["a","b"],"worker":{"role":"cluster","duplicateFunctionIds":[],"hasDuplicateFunctionIds":%v}}`,
			*duplicates,
		)
	}
	answer := func(path string, bad bool, code int, text string) {
		http.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			if bad {
				w.WriteHeader(code)
			}
			fmt.Fprintln(w, text) // a reader that has gone away does not read it
		})
	}
	answer("/ready", *unready, http.StatusServiceUnavailable, "ready?")
	answer("/live", *dead, http.StatusInternalServerError, "live?")
	answer("/", *broken, http.StatusInternalServerError, text)
	server := &http.Server{Addr: ":3111"}
	go func() {
		<-ctx.Done()
		_ = server.Close() // the process ends with it
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
