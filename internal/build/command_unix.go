//go:build unix

package build

import (
	"os"
	"os/exec"
	"syscall"
)

// ownGroup puts the child into a process group of its own. Plugins and shells
// that it starts then end with it, and Ctrl-C in the terminal reaches it only
// once, through this program.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

func interruptGroup(p *os.Process) error { return syscall.Kill(-p.Pid, syscall.SIGINT) }

func killGroup(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL) // ESRCH once all processes have ended
}
