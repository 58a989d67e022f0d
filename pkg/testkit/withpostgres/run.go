package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"rollcall.dev/pkg/localserver"
	"rollcall.dev/pkg/testkit"
)

const failed = 1

// run returns the exit code of the command, or an error if there is none.
func run(ctx context.Context, args []string) (int, error) {
	options := flag.NewFlagSet("withpostgres", flag.ContinueOnError)
	parent := options.String("in", "", "where the server's folder is made; by default the temporary folder")
	if err := options.Parse(args); err != nil {
		return failed, err
	}
	args = options.Args()
	if len(args) == 0 {
		return failed, errors.New("usage: withpostgres [-in FOLDER] -- COMMAND [ARGUMENT…]")
	}
	// From here on a signal must not end this process before the server has been stopped.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	defer signal.Stop(signals)

	dir, err := os.MkdirTemp(*parent, "rollcall-postgres-")
	if err != nil {
		return failed, err
	}
	defer func() { _ = os.RemoveAll(dir) }() // if this fails, the folder stays in the temporary folder
	streams, err := os.MkdirTemp(*parent, "rollcall-nats-")
	if err != nil {
		return failed, err
	}
	defer func() { _ = os.RemoveAll(streams) }()
	server, err := localserver.StartPostgres(ctx, localserver.PostgresConfig{Dir: dir})
	if err != nil {
		return failed, err
	}
	defer func() {
		server.Stop()
		_ = os.RemoveAll(server.Dir())
	}()
	select {
	case sig := <-signals: // the signal came while the server was starting
		return failed, fmt.Errorf("ended by %s", sig)
	default:
	}
	return command(args, signals, testkit.PostgresVariable+"="+server.URL("rollcall"), testkit.StreamsVariable+"="+streams)
}

func command(args []string, signals <-chan os.Signal, environment ...string) (int, error) {
	cmd := exec.Command(args[0], args[1:]...) //nolint:gosec,noctx // the caller's command; signals end it
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), environment...)
	child, err := localserver.StartChild(cmd, syscall.SIGTERM)
	if err != nil {
		return failed, fmt.Errorf("start the command: %w", err)
	}
	for {
		select {
		case sig := <-signals:
			if s, ok := sig.(syscall.Signal); ok {
				_ = child.SignalGroup(s) // fails only if the command has ended
			}
		case <-child.Done():
			return exitCode(cmd.ProcessState), nil
		}
	}
}

// exitCode returns the exit code as a shell does.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
