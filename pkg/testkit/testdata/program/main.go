// Command program is what the tests of testkit.Program start.
package main

import (
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	fmt.Println("greeting:", os.Getenv("GREETING"), "stray:", os.Getenv("ROLLCALL_TESTKIT_STRAY"), "args:", os.Args[1:])
	terms := make(chan os.Signal, 1)
	signal.Notify(terms, syscall.SIGTERM)
	if addr := os.Getenv("HTTP_ADDR"); addr != "" {
		server := &http.Server{Addr: addr, ReadHeaderTimeout: time.Second, ReadTimeout: time.Second,
			WriteTimeout: time.Second, IdleTimeout: time.Second, Handler: http.HandlerFunc(ready)}
		go func() { _ = server.ListenAndServe() }()
	}
	for _, arg := range os.Args[1:] {
		switch arg {
		case "end":
			os.Exit(7)
		case "race":
			race()
		}
	}
	<-terms
	fmt.Println("drained")
	os.Exit(3)
}

func ready(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }

func race() {
	n, done := 0, make(chan struct{})
	go func() { n++; close(done) }()
	n++
	<-done
	fmt.Println("raced:", n)
}
