//go:build !linux

package controlplane

import "os/exec"

// dieWithParent does nothing: other systems have no such setting.
func dieWithParent(*exec.Cmd) {}
