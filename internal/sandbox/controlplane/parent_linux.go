package controlplane

import (
	"os/exec"
	"syscall"
)

// dieWithParent keeps a killed test from leaving a control plane behind.
func dieWithParent(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
