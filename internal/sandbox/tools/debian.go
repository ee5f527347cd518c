// Package tools installs what the sandbox runs on a bare Debian machine: packages
// with apt-get, and everything that Debian does not have with the Go compiler.
// Each is installed once.
package tools

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Say reports to a person what is being done.
type Say func(format string, args ...any)

// Up lists the Debian packages that the cluster, the builder and the demo need.
var Up = []string{
	"ca-certificates", "git", "gh", "iproute2", "iptables",
	"etcd-server", "runc", "containernetworking-plugins",
	"qemu-user-static", "binfmt-support", "docker-registry",
}

// Test lists the Debian packages that only the tests need.
var Test = []string{"bash-completion", "buildah", "docker.io", "podman", "skopeo", "strace"}

// Debian installs the packages that are missing.
func Debian(ctx context.Context, say Say, packages []string) error {
	missing, err := missing(ctx, packages)
	if err != nil || len(missing) == 0 {
		return err
	}
	say("installing from Debian: %s", strings.Join(missing, " "))
	hold, err := holdServices()
	if err != nil {
		return err
	}
	defer hold()
	for _, args := range [][]string{
		{"-q", "update"},
		append([]string{"-q", "install", "--yes", "--no-install-recommends"}, missing...),
	} {
		cmd := exec.CommandContext(ctx, "apt-get", args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
		if err := runReporting(cmd, say, "apt-get", func(line string) string { return line }); err != nil {
			return fmt.Errorf("apt-get %s: %w", args[1], err)
		}
	}
	return nil
}

// Missing returns those packages that dpkg has not installed and whose program was
// not installed by other means either.
func missing(ctx context.Context, packages []string) ([]string, error) {
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		return nil, errors.New("this machine does not run Debian: the sandbox installs what it runs with apt-get (Debian 12 or newer, as root)")
	}
	cmd := exec.CommandContext(
		ctx,
		"dpkg-query",
		append([]string{"--show", "--showformat", "${Package} ${db:Status-Status}\n"}, packages...)...)
	out, err := cmd.Output()
	// Exit status 1 means that dpkg does not know some of them: they are missing.
	if exit := (*exec.ExitError)(nil); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return nil, fmt.Errorf("dpkg-query: %w", err)
	}
	var have []string
	for line := range strings.Lines(string(out)) {
		if name, status, _ := strings.Cut(strings.TrimSpace(line), " "); status == "installed" {
			have = append(have, name)
		}
	}
	return slices.DeleteFunc(slices.Clone(packages), func(p string) bool { return slices.Contains(have, p) }), nil
}

// policy is Debian's own means of keeping packages from starting their services
// (invoke-rc.d(8)): etcd and the registry come with units that would occupy ports
// and keep running when the sandbox is gone.
const policy = "/usr/sbin/policy-rc.d"

// holdServices installs the policy unless there is one already, and returns a
// function that removes it again.
func holdServices() (undo func(), err error) {
	script := []byte("#!/bin/sh\n# Written by the sbw sandbox while it installs packages.\nexit 101\n")
	if old, err := os.ReadFile(policy); err == nil && !bytes.Equal(old, script) {
		return func() {}, nil // somebody else's policy takes precedence
	}
	if err := os.WriteFile(policy, script, 0o755); err != nil {
		return nil, err
	}
	return func() { _ = os.Remove(policy) }, nil
}
