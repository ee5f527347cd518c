package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// plainTests runs what `go test ./...` runs on any machine. Tests that need
// the sandbox are skipped with a message.
func plainTests(ctx context.Context) error {
	for _, args := range [][]string{{"vet", "./..."}, {"test", "-race", "./..."}} {
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
		}
	}
	return nil
}
