package job

import (
	"context"
	"fmt"
	"sync"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/worker"
)

// Serving is what a service of one kind of run is made of.
type Serving struct {
	Stream, Durable string
	Slots           int // customers at once
	Kind            Kind
	Handler         func(runner *Runner) worker.Handler
	Schedule        func(ctx context.Context) (more bool, err error) // as Watch has it
}

// Serve works the runs of a kind until ctx ends: it pulls their requests, and watches for those that are due.
func Serve(ctx context.Context, s *service.Service, of Serving) error {
	consumer, err := s.JetStream.Consumer(ctx, of.Stream, of.Durable)
	if err != nil {
		return fmt.Errorf("look up consumer: %w", err)
	}
	connect, disconnect := connector.Open(s, of.Slots)
	defer disconnect()
	runner := &Runner{
		Store: s.Store, Logger: s.Logger, Holder: s.Instance, LeaseFor: s.Config.ClaimTimeout, Kind: of.Kind, Connect: connect,
		Metrics: NewMetrics(s.Registry), Probes: NewProbeSlots(of.Slots, time.Now),
	}
	pull := &worker.Worker{
		Name: of.Durable, Conn: s.Conn, Consumer: consumer, Slots: of.Slots, Handler: of.Handler(runner),
		Letters: &deadletter.Opener{
			Store: s.Store, Vault: s.Vault, Job: of.Kind.Job,
			StreamCreated: func(ctx context.Context, name string) (time.Time, error) {
				return bus.StreamCreated(ctx, s.JetStream, name)
			},
		},
		Logger: s.Logger, Metrics: worker.NewMetrics(s.Registry),
	}
	watch := &Watch{
		Store: s.Store, Logger: s.Logger, Publisher: &bus.Publisher{JetStream: s.JetStream, Logger: s.Logger}, Kind: of.Kind,
		Schedule: of.Schedule,
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	var background sync.WaitGroup
	background.Go(func() { watch.Run(watching) })
	s.Ready()
	err = pull.Run(ctx)
	stop()
	background.Wait()
	return err
}
