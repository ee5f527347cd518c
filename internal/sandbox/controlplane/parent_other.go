//go:build !linux

package controlplane

import "os/exec"

// dieWithParent has no counterpart here.
func dieWithParent(*exec.Cmd) {}
