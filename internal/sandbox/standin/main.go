// Command standin is a worker that behaves well or badly, as its arguments
// say. Its image is used for every rollout that the end-to-end tests make fail
// on purpose, and for those whose speed is measured. It is a few megabytes
// large and starts within milliseconds.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// behaviour is what the arguments describe.
type behaviour struct {
	exit       int
	after      time.Duration
	fails      int
	say        string
	eat        bool
	deaf       bool
	unready    bool
	dead       bool
	status     int
	duplicates bool
	page, port string
	term       time.Duration
}

func main() {
	b := parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if b.fails > 0 && starts("/state/starts") <= b.fails {
		fmt.Fprintln(os.Stderr, b.say)
		os.Exit(1)
	}
	if b.exit >= 0 {
		time.AfterFunc(b.after, func() {
			fmt.Fprintln(os.Stderr, b.say)
			os.Exit(b.exit)
		})
	}
	if b.eat {
		eat(ctx)
	}
	if b.deaf || b.exit >= 0 && b.after == 0 {
		<-ctx.Done()
		return
	}
	server := &http.Server{Addr: net.JoinHostPort("", b.port), Handler: b.handler(), Protocols: new(http.Protocols)}
	server.Protocols.SetHTTP1(true)
	server.Protocols.SetUnencryptedHTTP2(true)
	go func() {
		<-ctx.Done()
		time.AfterFunc(b.term, func() { _ = server.Close() }) // it ends with the process
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func parse() (b behaviour) {
	flag.IntVar(&b.exit, "exit", -1, "exit with this code")
	flag.DurationVar(&b.after, "after", 0, "exit only after this time, and serve until then")
	flag.IntVar(&b.fails, "fails", 0, "exit with code 1 at the first N starts, which are counted in /state/starts")
	flag.StringVar(&b.say, "say", "standin: this is why it ends", "print this before exiting")
	flag.BoolVar(&b.eat, "eat", false, "allocate memory until none is left")
	flag.BoolVar(&b.deaf, "deaf", false, "listen on no port")
	flag.BoolVar(&b.unready, "unready", false, "answer /ready with 503")
	flag.BoolVar(&b.dead, "dead", false, "answer /live with 500")
	flag.IntVar(&b.status, "status", http.StatusOK, "answer / with this status code")
	flag.BoolVar(&b.duplicates, "duplicates", false, "serve a function id twice")
	flag.StringVar(&b.page, "page", "", "serve this page, in place of the worker's")
	flag.StringVar(&b.port, "port", "3111", "listen on this port")
	flag.DurationVar(&b.term, "term", 0, "serve for this time after SIGTERM")
	flag.Parse()
	return b
}

// starts counts the starts, including this one, in a file. If they cannot be
// counted, it returns 1.
func starts(file string) int {
	count, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 1
	}
	count = append(count, '.')
	if os.WriteFile(file, count, 0o644) != nil {
		return 1
	}
	return len(count)
}

func eat(ctx context.Context) {
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

func (b behaviour) handler() http.Handler {
	text := b.page
	if text == "" {
		text = fmt.Sprintf(
			`{"count":2,"functions":["a","b"],"worker":{"role":"cluster","duplicateFunctionIds":[],"hasDuplicateFunctionIds":%v}}`,
			b.duplicates,
		)
	}
	mux := http.NewServeMux()
	answer := func(path string, status int, text string) {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			fmt.Fprintln(w, text) // if the reader has gone away, nobody misses the output
		})
	}
	unless := func(bad bool, status int) int {
		if bad {
			return status
		}
		return http.StatusOK
	}
	answer("/ready", unless(b.unready, http.StatusServiceUnavailable), "ready?")
	answer("/live", unless(b.dead, http.StatusInternalServerError), "live?")
	answer("/", b.status, text)
	return mux
}
