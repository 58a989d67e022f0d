//go:build unix

package localserver

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Child is a child process that must not outlive this process.
type Child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// StartChild starts cmd in its own process group, so that a Ctrl-C at the terminal does not reach it before its
// parent has decided what to do. On Linux the kernel sends onParentDeath to the child if this process ends without
// stopping it, for example by a SIGKILL; other systems cannot do that.
func StartChild(cmd *exec.Cmd, onParentDeath syscall.Signal) (*Child, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	tieToParent(cmd.SysProcAttr, onParentDeath)
	c := &Child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// For the kernel, the "parent" is the thread that forked. So one thread is reserved for the child until the
		// child has ended; otherwise the runtime might end it (it does when a locked goroutine returns).
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		c.err = cmd.Wait()
		close(c.done)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return c, nil
}

// PID returns the child's process id, which is also the id of its process group.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Done is closed when the child has ended and its output has been read.
func (c *Child) Done() <-chan struct{} { return c.done }

// Wait waits until the child has ended and returns the error of exec.Cmd.Wait.
func (c *Child) Wait() error {
	<-c.done
	return c.err
}

// Signal sends sig to the child only. It returns os.ErrProcessDone if the child has ended.
func (c *Child) Signal(sig syscall.Signal) error { return c.cmd.Process.Signal(sig) }

// SignalGroup sends sig to the child and to the processes that it started.
func (c *Child) SignalGroup(sig syscall.Signal) error { return syscall.Kill(-c.PID(), sig) }

// ExitCode returns the child's exit code, -1 if it is still running or was ended by a signal.
func (c *Child) ExitCode() int {
	select {
	case <-c.done:
		return c.cmd.ProcessState.ExitCode()
	default:
		return -1
	}
}
