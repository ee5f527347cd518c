package vt

import "syscall"

// session has no meaning here; Open fails on Windows before it is asked for.
func session() *syscall.SysProcAttr { return nil }
