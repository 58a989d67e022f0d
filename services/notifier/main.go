// Command notifier sends alerts to operators by mail and webhook, and mails customers' admins what concerns them. It also
// raises the alerts that only time reveals, such as polls that have stopped. Any number of replicas may run.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

// slots is the number of messages handled at once, for each stream. They mostly wait for mail servers.
const slots = 16

func main() {
	os.Exit(service.Main("notifier", run))
}

// run wires the service and works until ctx ends.
func run(ctx context.Context, s *service.Service) error {
	n, err := newNotifier(s.Config)
	if err != nil {
		return err
	}
	return serve(ctx, s, n)
}

// serve sends notifications until ctx ends.
func serve(ctx context.Context, s *service.Service, n *notifier) error {
	n.sender = &sender{store: s.Store, logger: s.Logger, metrics: newMetrics(s.Registry)}
	if n.webhook == nil && len(n.operators) == 0 {
		s.Logger.Warn("alerts are sent to no one: neither ALERT_MAIL_TO nor ALERT_WEBHOOK_URL is set")
	}
	waitForTests, err := serveAPI(ctx, s, n)
	if err != nil {
		return err
	}
	defer waitForTests()
	metrics := worker.NewMetrics(s.Registry)
	newWorker := func(stream, name string, handler worker.Handler) (*worker.Worker, error) {
		consumer, err := s.JetStream.Consumer(ctx, stream, bus.DurableNotifier)
		if err != nil {
			return nil, fmt.Errorf("look up consumer of %s: %w", stream, err)
		}
		return &worker.Worker{
			Name: name, Conn: s.Conn, Consumer: consumer, Slots: slots, Handler: handler, Logger: s.Logger, Metrics: metrics,
			Letters: &messageletter.Opener{
				Store: s.Store, Vault: s.Vault, Job: "notifier",
				StreamCreated: func(ctx context.Context, name string) (time.Time, error) {
					return bus.StreamCreated(ctx, s.JetStream, name)
				},
			},
		}, nil
	}
	alerts, err := newWorker(bus.StreamAlerts, "notifier-alerts", n.handleAlert)
	if err != nil {
		return err
	}
	events, err := newWorker(bus.StreamEvents, "notifier-events", n.handleEvent)
	if err != nil {
		return err
	}
	conditions := &conditionWatch{
		store: s.Store, logger: s.Logger,
		bounds: store.BoundsOf(s.Config.ClaimTimeout, s.Config.DLQMaxAge, s.Config.DLQGrowth),
	}
	s.Ready()
	return runAll(ctx, alerts.Run, events.Run, func(ctx context.Context) error { conditions.run(ctx); return nil },
		func(ctx context.Context) error {
			(&outboxWatch{store: s.Store, notifier: n, logger: s.Logger}).run(ctx)
			return nil
		},
		func(ctx context.Context) error { (&summarySender{notifier: n, logger: s.Logger}).run(ctx); return nil })
}

// newNotifier returns a notifier with the channels that the settings name.
func newNotifier(settings config.Config) (*notifier, error) {
	server, err := config.ParseMailServer(settings.SMTPURL)
	if err != nil {
		return nil, err
	}
	view, err := parseMailTemplates()
	if err != nil {
		return nil, err
	}
	n := &notifier{templates: view, raisedTries: maxRaisedTries, heldCheckEvery: heldCheck, summaryEvery: summaryInterval}
	if server.Host != "" {
		n.mailer = &mailer{server: server, from: settings.MailFrom}
		if n.operators, err = settings.AlertRecipients(); err != nil {
			return nil, err
		}
	}
	n.webhook, err = newWebhook(settings.AlertWebhookURL, settings.AlertWebhookSecret)
	return n, err
}

// runAll runs all functions until ctx ends. If one returns earlier, the others are stopped.
func runAll(ctx context.Context, all ...func(ctx context.Context) error) error {
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
