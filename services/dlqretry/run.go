package main

import (
	"context"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/service"
)

// run wires the service and works until ctx ends.
func run(ctx context.Context, s *service.Service) error {
	_ = &redriver{
		store: s.Store, vault: s.Vault, publisher: &bus.Publisher{JetStream: s.JetStream, Logger: s.Logger}, logger: s.Logger,
		asked: func(...string) {},
	}
	<-ctx.Done()
	return nil
}
