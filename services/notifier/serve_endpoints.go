package main

import (
	"context"
	"fmt"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/worker"
	"rollcall.dev/services/notifier/internal/endpoints"
)

// readers opens the workers of the service.
type readers struct {
	service *service.Service
	metrics *worker.Metrics
}

func (r *readers) open(ctx context.Context, stream, durable, name string, handler worker.Handler) (*worker.Worker, error) {
	s := r.service
	consumer, err := s.JetStream.Consumer(ctx, stream, durable)
	if err != nil {
		return nil, fmt.Errorf("look up consumer of %s: %w", stream, err)
	}
	return &worker.Worker{
		Name: name, Conn: s.Conn, Consumer: consumer, Slots: worker.FixedSlots(slots), Handler: handler, Logger: s.Logger, Metrics: r.metrics,
		Letters: &messageletter.Opener{
			Store: s.Store, Vault: s.Vault, Job: "notifier",
			StreamCreated: func(ctx context.Context, name string) (time.Time, error) {
				return bus.StreamCreated(ctx, s.JetStream, name)
			},
		},
	}, nil
}

// serveEndpoints answers operators' requests about partners' endpoints, and returns what sends to them. wait waits for tests that are running.
func serveEndpoints(ctx context.Context, readers *readers, n *notifier) (run []func(ctx context.Context) error, wait func(), err error) {
	s := readers.service
	private := destination.PrivateAccess{All: s.Config.AllowPrivateDestinations, Hosts: s.Config.PrivateHosts()}
	sender := &endpoints.Sender{
		Store: s.Store, Vault: s.Vault, Client: endpoints.NewClient(private), Logger: s.Logger, Metrics: endpoints.NewMetrics(s.Registry),
		Every: n.endpointsEvery,
	}
	consumer := &endpoints.Consumer{Store: s.Store, Logger: s.Logger, MessageID: messageID, Added: sender.Wake}
	for _, one := range []struct{ stream, name string }{{bus.StreamAlerts, "endpoints-alerts"}, {bus.StreamEvents, "endpoints-events"}} {
		reader, err := readers.open(ctx, one.stream, bus.DurableEndpoints, one.name, consumer.Handle)
		if err != nil {
			return nil, nil, err
		}
		run = append(run, reader.Run)
	}
	ensureRecords := func(ctx context.Context) error {
		_, err := bus.EnsureEndpointRecords(ctx, s.JetStream, s.Config.ClaimTimeout)
		return err
	}
	records := &endpoints.Records{
		Store: s.Store, Logger: s.Logger, Every: n.endpointsEvery, Ensure: ensureRecords,
		Drop: func(ctx context.Context) error { return bus.DropEndpointRecords(ctx, s.JetStream) },
		Read: func(ctx context.Context) error {
			reader, err := readers.open(ctx, bus.StreamEvents, bus.DurableEndpointRecords, "endpoints-records", consumer.Handle)
			if err != nil {
				return err
			}
			return reader.Run(ctx)
		},
	}
	run = append(run,
		func(ctx context.Context) error { sender.Run(ctx); return nil },
		func(ctx context.Context) error { records.Run(ctx); return nil })
	wait, err = (&endpoints.API{Sender: sender, Private: private, EnsureRecords: ensureRecords}).Serve(ctx, s)
	return run, wait, err
}
