//go:build !linux

// Command launcher starts and stops the sandbox; see main.go, for Linux.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	const needs = "the sandbox needs Linux (Debian 12 or newer) and root"
	if len(os.Args) != 2 || os.Args[1] != "test" {
		fmt.Fprintln(os.Stderr, "sandbox:", needs)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, needs+"; only the tests that need neither will run")
	if err := plainTests(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}
