//go:build unix && !linux

package localserver

import "syscall"

func tieToParent(*syscall.SysProcAttr, syscall.Signal) {}

// isPostgresIn cannot answer without /proc. A server that an earlier run left behind is then not stopped: the new one
// does not start and gives the reason in its log.
func isPostgresIn(int, string) (ours, known bool) { return false, false }
