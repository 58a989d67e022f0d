// Command notifier sends alerts to operators by mail and webhook, mails customers' admins what concerns them, and sends what happens to customers
// to partners' endpoints. It also raises the alerts that only time reveals, such as polls that have stopped. Any number of replicas may run.
package main

import (
	"context"
	"errors"
	"os"
	"sync"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
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
	readers := &readers{service: s, metrics: worker.NewMetrics(s.Registry)}
	workers, waitForEndpointTests, err := serveEndpoints(ctx, readers, n)
	if err != nil {
		return err
	}
	defer waitForEndpointTests()
	for _, one := range []struct {
		stream, name string
		handler      worker.Handler
	}{{bus.StreamAlerts, "notifier-alerts", n.handleAlert}, {bus.StreamEvents, "notifier-events", n.handleEvent}} {
		reader, err := readers.open(ctx, one.stream, bus.DurableNotifier, one.name, one.handler)
		if err != nil {
			return err
		}
		workers = append(workers, reader.Run)
	}
	conditions := &conditionWatch{
		store: s.Store, logger: s.Logger,
		bounds: store.BoundsOf(s.Config.ClaimTimeout, s.Config.DLQMaxAge, s.Config.DLQGrowth, s.Config.GivingPendingAge),
	}
	s.Ready()
	return runAll(ctx, append(workers, func(ctx context.Context) error { conditions.run(ctx); return nil },
		func(ctx context.Context) error {
			(&outboxWatch{store: s.Store, notifier: n, logger: s.Logger}).run(ctx)
			return nil
		},
		func(ctx context.Context) error {
			newGauges(s.Store, s.JetStream, s.Logger, s.Registry, s.Config.MetricsCustomerLabel).run(ctx)
			return nil
		},
		func(ctx context.Context) error { (&summarySender{notifier: n, logger: s.Logger}).run(ctx); return nil })...)
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
