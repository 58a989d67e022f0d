package job

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/worker"
)

// Serving says what a service of one or several kinds of runs consists of.
type Serving struct {
	Stream, Durable string
	Slots           int // customers at the same time, whatever the kinds of their runs
	// LeastSlots is how many there are at least if their number goes by the load, up to Slots; 0: it is Slots.
	LeastSlots int
	Kinds      []Scheduled
	LetterJob  string // the job of a letter that a message becomes
	Handler    func(runners Runners) worker.Handler
	// Beside starts what else the service does, until ctx ends; wait returns when that has ended. nil: nothing.
	Beside func(ctx context.Context, runners Runners) (wait func(), err error)
}

// Scheduled is a kind of run with its schedule.
type Scheduled struct {
	Kind     Kind
	Schedule func(ctx context.Context) (more bool, err error) // as in Watch
}

// Runners are the runners of a service, by the name of their kind.
type Runners map[string]*Runner

// Serve works the runs of the kinds until ctx ends: it pulls their requests, and watches for those that are due.
func Serve(ctx context.Context, s *service.Service, of Serving) error {
	consumer, err := s.JetStream.Consumer(ctx, of.Stream, of.Durable)
	if err != nil {
		return fmt.Errorf("look up consumer: %w", err)
	}
	connect, disconnect := connector.Open(s, of.Slots)
	defer disconnect()
	slots := worker.NewSlots(cmp.Or(of.LeastSlots, of.Slots), of.Slots)
	s.Registry.MustRegister(slotsGauge(slots.Number))
	metrics, probes := NewMetrics(s.Registry, s.Config.MetricsCustomerLabel), NewProbeSlots(slots.Number, time.Now)
	runners := make(Runners, len(of.Kinds))
	for _, each := range of.Kinds {
		runners[each.Kind.Name] = &Runner{
			Store: s.Store, Logger: s.Logger, Holder: s.Instance, LeaseFor: s.Config.ClaimTimeout, Kind: each.Kind, Connect: connect,
			Metrics: metrics, Probes: probes, Slots: slots, Tracing: s.Tracing,
		}
	}
	pull := &worker.Worker{
		Name: of.Durable, Conn: s.Conn, Consumer: consumer, Slots: slots, Handler: of.Handler(runners),
		Letters: &messageletter.Opener{
			Store: s.Store, Vault: s.Vault, Job: of.LetterJob,
			StreamCreated: func(ctx context.Context, name string) (time.Time, error) {
				return bus.StreamCreated(ctx, s.JetStream, name)
			},
		},
		Logger: s.Logger, Metrics: worker.NewMetrics(s.Registry), Tracing: s.Tracing,
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	wait := func() {}
	if of.Beside != nil {
		if wait, err = of.Beside(working, runners); err != nil {
			return err
		}
	}
	var background sync.WaitGroup
	background.Go(func() { slots.Adapt(working) })
	for _, each := range of.Kinds {
		watch := &Watch{
			Store: s.Store, Logger: s.Logger, Publisher: &bus.Publisher{JetStream: s.JetStream, Logger: s.Logger}, Kind: each.Kind,
			Schedule: each.Schedule,
		}
		background.Go(func() { watch.Run(working) })
	}
	s.Ready()
	err = pull.Run(ctx)
	stop()
	background.Wait()
	wait()
	return err
}
