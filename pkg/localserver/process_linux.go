package localserver

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

func tieToParent(attr *syscall.SysProcAttr, sig syscall.Signal) { attr.Pdeathsig = sig }

// isPostgresIn reports whether process pid is a Postgres server with its data in dir: its working directory is the
// data folder and its program is "postgres". known is false if the system does not tell.
func isPostgresIn(pid int, dir string) (ours, known bool) {
	proc := filepath.Join("/proc", strconv.Itoa(pid))
	exe, err := os.Readlink(filepath.Join(proc, "exe"))
	if err != nil {
		return false, !errors.Is(err, fs.ErrPermission)
	}
	cwd, err := os.Stat(filepath.Join(proc, "cwd"))
	if err != nil {
		return false, !errors.Is(err, fs.ErrPermission)
	}
	data, err := os.Stat(dir)
	if err != nil {
		return false, false
	}
	return strings.HasPrefix(filepath.Base(exe), "postgres") && os.SameFile(cwd, data), true
}
