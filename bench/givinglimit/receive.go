package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"rollcall.dev/pkg/bus"
)

// receive checks the signature of each request, publishes its body, and answers 200 when the stream has it. It returns the address.
func (l *limit) receive(ctx context.Context, secret string) (address string, err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /{customer}", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(l.accept(r, secret))
	})
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, ReadTimeout: time.Minute, WriteTimeout: time.Minute, IdleTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // until the process ends
	return "http://" + listener.Addr().String() + "/", nil
}

func (l *limit) accept(r *http.Request, secret string) (status int) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return http.StatusBadRequest
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	signature, err := hex.DecodeString(r.Header.Get("X-Virtuous-Signature"))
	if err != nil || !hmac.Equal(signature, mac.Sum(nil)) {
		return http.StatusUnauthorized
	}
	if _, err := l.stream.Publish(r.Context(), bus.SubjectWebhooks(r.PathValue("customer")), body); err != nil {
		return http.StatusServiceUnavailable
	}
	return http.StatusOK
}
