package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// plainTests are those that `go test ./...` runs on any machine: what needs
// the sandbox says so and is passed over.
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
