package build

import (
	"os"
	"os/exec"
)

func ownGroup(*exec.Cmd) {}

// interruptGroup kills the child: Windows cannot interrupt another process.
func interruptGroup(p *os.Process) error { return p.Kill() }

func killGroup(*os.Process) {}
