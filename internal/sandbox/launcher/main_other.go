//go:build !linux

// Command cmd is the sandbox's launcher; see main.go, for Linux.
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
	const needs = "the sandbox runs a cluster of processes: it takes Linux (Debian 12 or newer), as root"
	if len(os.Args) != 2 || os.Args[1] != "test" {
		fmt.Fprintln(os.Stderr, "sandbox:", needs)
		os.Exit(1)
	}
	fmt.Fprintln(os.Stderr, needs+"; the tests that take neither follow")
	if err := plainTests(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "sandbox:", err)
		os.Exit(1)
	}
}
