// Command rollcall is the operator's: it brings an installation up, onboards customers and shows how they do.
//
// It needs NATS and nothing else, save `migrate`, `dev`, `doctor` and `secrets rotate`, which reach Postgres themselves. With --json it prints
// one JSON document on standard output; everything else goes to standard error. It exits 0 when the thing asked
// for was done, 1 when it failed or is unknown, and 2 when it was called in a way that cannot be meant.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"rollcall.dev/services/rollcall/internal/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	code := cli.Run(ctx, cli.ThisProcess())
	stop()
	os.Exit(code)
}
