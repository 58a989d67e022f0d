// Command bench measures how long a customer's backfill takes, from the onboarding message to backfill.completed, or
// what giving takes, alternating with a program that does the least durable work for the same result. See README.md.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "bench:", err) // there is no other place to report it
		os.Exit(1)
	}
}
