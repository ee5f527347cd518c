//go:build unix

package vt

import "syscall"

// session makes a process the leader of a new session on its terminal.
func session() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true, Setctty: true} }
