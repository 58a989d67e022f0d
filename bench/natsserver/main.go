// Command natsserver runs a NATS server as a separate process for a measurement: with streams in files, a sync before
// each acknowledgement, and encryption at rest, as in the compose file.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"rollcall.dev/pkg/localserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := serve(ctx, os.Args[1:])
	stop()
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "natsserver:", err) // there is no other place to report it
		os.Exit(1)
	}
}

func serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("natsserver", flag.ContinueOnError)
	store := flags.String("store", "", "`folder` of the streams")
	port := flags.Int("port", 0, "port of 127.0.0.1 to listen on")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read flags: %w", err)
	}
	if *port == 0 {
		return errors.New("-port is missing")
	}
	server, err := localserver.StartNATS(localserver.NATSConfig{
		StoreDir: *store, Port: *port, SyncAlways: true, JetStreamKey: "of a measurement, no secret", ServerName: "rollcall-bench",
	})
	if err != nil {
		return fmt.Errorf("serve: %w", err)
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}
