package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

// slots are messages told at once, of each stream: they wait for mail servers, and for little else.
const slots = 16

// run wires the service and works until ctx ends.
func run(ctx context.Context, s *service.Service) error {
	told, err := open(s.Config)
	if err != nil {
		return err
	}
	return serve(ctx, s, told)
}

// serve tells until ctx ends.
func serve(ctx context.Context, s *service.Service, told *notifier) error {
	told.teller = &teller{store: s.Store, logger: s.Logger, metrics: newMetrics(s.Registry)}
	if told.webhook == nil && len(told.operators) == 0 {
		s.Logger.Warn("nobody is told of alerts: neither ALERT_MAIL_TO nor ALERT_WEBHOOK_URL is set")
	}
	answered, err := answer(ctx, s, told)
	if err != nil {
		return err
	}
	defer answered()
	metrics := worker.NewMetrics(s.Registry)
	pull := func(stream, name string, handler worker.Handler) (*worker.Worker, error) {
		consumer, err := s.JetStream.Consumer(ctx, stream, bus.DurableNotifier)
		if err != nil {
			return nil, fmt.Errorf("look up consumer of %s: %w", stream, err)
		}
		return &worker.Worker{
			Name: name, Conn: s.Conn, Consumer: consumer, Slots: slots, Handler: handler, Logger: s.Logger, Metrics: metrics,
			Letters: &deadletter.Opener{
				Store: s.Store, Vault: s.Vault, Job: "notifier",
				StreamCreated: func(ctx context.Context, name string) (time.Time, error) {
					return bus.StreamCreated(ctx, s.JetStream, name)
				},
			},
		}, nil
	}
	alerts, err := pull(bus.StreamAlerts, "notifier-alerts", told.alert)
	if err != nil {
		return err
	}
	events, err := pull(bus.StreamEvents, "notifier-events", told.event)
	if err != nil {
		return err
	}
	watch := &watch{
		store: s.Store, logger: s.Logger,
		bounds: store.BoundsOf(s.Config.ClaimTimeout, s.Config.DLQMaxAge, s.Config.DLQGrowth),
	}
	s.Ready()
	return together(ctx, alerts.Run, events.Run, func(ctx context.Context) error { watch.run(ctx); return nil },
		func(ctx context.Context) error {
			(&direct{store: s.Store, told: told, logger: s.Logger}).run(ctx)
			return nil
		},
		func(ctx context.Context) error { (&gatherer{told: told, logger: s.Logger}).run(ctx); return nil })
}

// open makes the channels that the settings name.
func open(settings config.Config) (*notifier, error) {
	server, err := config.ParseMailServer(settings.SMTPURL)
	if err != nil {
		return nil, err
	}
	words, err := readMails()
	if err != nil {
		return nil, err
	}
	told := &notifier{words: words, patience: beginningTries, heldFor: heldLook, gatherEvery: gatherEvery}
	if server.Host != "" {
		told.mailer = &mailer{server: server, from: settings.MailFrom}
		if told.operators, err = settings.AlertRecipients(); err != nil {
			return nil, err
		}
	}
	told.webhook, err = newWebhook(settings.AlertWebhookURL, settings.AlertWebhookSecret)
	return told, err
}

// together runs all until ctx ends; where one ends earlier, so do the others.
func together(ctx context.Context, all ...func(ctx context.Context) error) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(all))
	var ended sync.WaitGroup
	for i, one := range all {
		ended.Go(func() {
			defer stop()
			errs[i] = one(running)
		})
	}
	ended.Wait()
	return errors.Join(errs...)
}
