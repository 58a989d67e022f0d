// Command sandbox stands in for VOMO and for a CRM, in one process, so that rollcall can be tried and tested
// without either.
//
// VOMO is at /vomo/v1, the CRM at /crm and /crm/{tenant}, and /control makes organisations, sets faults,
// lets people come and go while a list is read, reports what was seen and compares the two. Everything is in memory and ends with the process, unless a state
// file keeps it; the people of an organisation are invented from a seed and are the same on every run. It is
// not for real people's data.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"go.uber.org/zap"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := start(ctx, os.Args[1:], os.LookupEnv, os.Stderr)
	stop()
	os.Exit(code)
}

// start returns the exit status: 0 after a signal, 1 for a failure, 2 for settings that cannot be.
func start(ctx context.Context, args []string, lookupEnv func(string) (string, bool), stderr io.Writer) int {
	if len(args) == 1 && args[0] == "-healthcheck" {
		return checkHealth(ctx, lookupEnv, stderr)
	}
	options, err := parseOptions(args, lookupEnv, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		_, _ = fmt.Fprintln(stderr, "sandbox:", err) // there is nowhere else to say it
		return 2
	}
	log := newLogger(options.logLevel, options.logFormat, stderr)
	defer func() { _ = log.Sync() }() // a terminal cannot be synced and says so
	if err := run(ctx, options, log); err != nil {
		log.Error("sandbox stopped", zap.Error(err))
		return 1
	}
	return 0
}
