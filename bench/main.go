// Command bench measures what users have: how long backfills, polls and redrives take, and what giving takes, in turns with programs that do
// the least durable work for the same result. See README.md.
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
