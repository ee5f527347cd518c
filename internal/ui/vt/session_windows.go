package vt

import "syscall"

// session does nothing; on Windows, Open fails before it is called.
func session() *syscall.SysProcAttr { return nil }
