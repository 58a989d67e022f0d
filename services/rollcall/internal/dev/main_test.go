package dev

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall.dev/pkg/localserver"
)

// roleVariable makes the test program play a child, or a `rollcall dev` that has one.
const roleVariable = "DEV_TEST_ROLE"

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVariable); role != "" {
		os.Exit(play(role, os.Stdout))
	}
	goleak.VerifyTestMain(m)
}

func play(role string, out io.Writer) int {
	switch role {
	case "worker": // a service: it can work at once, and notes when it was asked to stop
		asked := make(chan os.Signal, 1)
		signal.Notify(asked, syscall.SIGTERM)
		_, _ = fmt.Fprintln(out, "runs as", os.Getpid())
		serveHealth(out)
		<-asked
		return note(out, os.Getenv("DEV_TEST_NOTES"), os.Getenv("DEV_TEST_NAME")+" stopped")
	case "stubborn": // a service that does not end
		signal.Ignore(syscall.SIGTERM)
		serveHealth(out)
		select {}
	case "broken": // a service that cannot start
		_, _ = fmt.Fprintln(out, "the settings are no good")
		return 3
	case "parent": // a `rollcall dev` that is about to be killed
		return playParent(out)
	}
	return 1
}

func playParent(out io.Writer) int {
	heirs, err := takeLock(os.Getenv("DEV_TEST_LOCK"))
	if err != nil {
		_, _ = fmt.Fprintln(out, err)
		return 1
	}
	shown := newScreen(out, out, false)
	log, err := openLogFile(os.Getenv("DEV_TEST_LOG"), logKeptUpTo, shown.linesOf("worker", 0))
	if err != nil {
		_, _ = fmt.Fprintln(out, err)
		return 1
	}
	keepRunning(program{
		name: "worker", path: os.Args[0], env: append(os.Environ(), roleVariable+"=worker"), log: log, held: heirs.file,
		address: freeAddress, tell: shown.tellf,
	}, nil)
	select {}
}

func serveHealth(out io.Writer) {
	go func() {
		server := &http.Server{Addr: os.Getenv("HTTP_ADDR"), ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(
			func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })}
		_, _ = fmt.Fprintln(out, "health server ended:", server.ListenAndServe())
	}()
}

func note(out io.Writer, path, text string) int {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		_, _ = fmt.Fprintln(out, err)
		return 1
	}
	if _, err := fmt.Fprintln(file, text); err != nil || file.Close() != nil {
		return 1
	}
	return 0
}

func freeAddress() (string, error) {
	port, err := localserver.FreePort()
	return "127.0.0.1:" + strconv.Itoa(port), err
}
