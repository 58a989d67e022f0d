//go:build unix

package localserver

import (
	"os/exec"
	"runtime"
	"syscall"
)

// Child is a process of ours that must not outlive us.
type Child struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// StartChild starts cmd in a process group of its own, so that a Ctrl-C at the terminal does not reach it
// before its parent has decided what to do. On Linux the child gets onParentDeath when this process ends
// without stopping it, by a SIGKILL for example; other systems have no such thing.
func StartChild(cmd *exec.Cmd, onParentDeath syscall.Signal) (*Child, error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	tieToParent(cmd.SysProcAttr, onParentDeath)
	c := &Child{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The "parent" whose death counts is the thread that forked. So one thread is kept for the child until
		// the child has ended; else the runtime might end it (it does when a locked goroutine returns).
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

// PID is the child's process id, and its process group's.
func (c *Child) PID() int { return c.cmd.Process.Pid }

// Done is closed when the child has ended and its output has been read.
func (c *Child) Done() <-chan struct{} { return c.done }

// Wait waits until the child has ended; its error is that of exec.Cmd.Wait.
func (c *Child) Wait() error {
	<-c.done
	return c.err
}

// Signal sends sig to the child alone; os.ErrProcessDone when it has ended.
func (c *Child) Signal(sig syscall.Signal) error { return c.cmd.Process.Signal(sig) }

// SignalGroup sends sig to the child and to what it started.
func (c *Child) SignalGroup(sig syscall.Signal) error { return syscall.Kill(-c.PID(), sig) }

// ExitCode is what the child exited with: -1 while it runs and when a signal ended it.
func (c *Child) ExitCode() int {
	select {
	case <-c.done:
		return c.cmd.ProcessState.ExitCode()
	default:
		return -1
	}
}
