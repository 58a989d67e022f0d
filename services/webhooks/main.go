// Command webhooks receives deliveries of webhooks from Virtuous CRM+. It checks the signature of a delivery, divides it into
// parts, seals them, and answers 200 when all of them are in the stream. It applies nothing: the service donations does.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/service"
)

const (
	readTimeout   = 30 * time.Second // of a body of 8 MiB on a slow line
	headerTimeout = 5 * time.Second
	idleTimeout   = 2 * time.Minute
	// storeTime is short, because Virtuous waits for a short time only. It repeats a delivery that was not answered with 200.
	storeTime      = 8 * time.Second
	drainTime      = 15 * time.Second
	maxHeaderBytes = 16 << 10
	// maxBodies bounds the bodies in memory. One is there up to four times, as body, records, parts and messages: as many of the largest
	// size are 2 GiB.
	maxBodies = 64
	// maxBodiesEach is how many of these are one customer's.
	maxBodiesEach = 16
	// maxBodiesUnknown is how many of these may be of names that are no customer's.
	maxBodiesUnknown = 16
	// placeTime is how long a request waits until its body may be read.
	placeTime = 2 * time.Second
)

func main() {
	os.Exit(service.Main("webhooks", run))
}

// run receives until ctx ends, and then answers what it has begun to receive.
func run(ctx context.Context, s *service.Service) error {
	publisher := &bus.Publisher{JetStream: s.JetStream, Logger: s.Logger}
	handler := &receiver{
		keys: newKeyring(s.Store, s.Vault, time.Now), store: s.Store, publish: publisher.Publish, isConnected: s.Conn.IsConnected,
		signatureHeader: s.Config.WebhookSignatureHeader, maxBody: int64(s.Config.WebhookMaxBody), storeTime: storeTime,
		bodies: newBodies(maxBodies, maxBodiesUnknown, maxBodiesEach, placeTime), decoy: newDecoy(), logger: s.Logger, metrics: newMetrics(s.Registry), now: time.Now,
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.Config.WebhookAddr)
	if err != nil {
		return fmt.Errorf("listen on WEBHOOK_ADDR: %w", err)
	}
	server := &http.Server{
		Handler: handler.routes(), ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: readTimeout + storeTime,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
	}
	s.Logger.Info("receiving", zap.String("webhooks", listener.Addr().String()))
	s.Ready()
	group, serving := errgroup.WithContext(ctx)
	group.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve webhooks: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-serving.Done()
		draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		return server.Shutdown(draining)
	})
	return group.Wait()
}
