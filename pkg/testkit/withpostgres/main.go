// Command withpostgres runs a command with a throw-away Postgres, so that many test processes share one server:
//
//	go run rollcall.dev/pkg/testkit/withpostgres -- go test -race ./...
//
// The command gets the server's URL in ROLLCALL_TEST_POSTGRES, and in ROLLCALL_TEST_STREAMS a folder for the files of NATS. It runs in its own
// process group, to which SIGINT, SIGTERM, SIGHUP and SIGQUIT are passed on, so it must not read from a terminal. The exit code is the
// command's, 128 plus the signal's number if a signal ended the command, and 1 if the server does not start.
package main

import (
	"context"
	"fmt"
	"os"
)

func main() {
	code, err := run(context.Background(), os.Args[1:])
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpostgres:", err)
	}
	os.Exit(code)
}
