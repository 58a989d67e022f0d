package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	demoSource    = "RollcallDemo"
	demoDonations = 20
	// demoSetAside is how many of the donations need an update after their import: the seed of the organisation decides which.
	demoSetAside        = 2
	demoSetAsidePercent = 10
	// stepWithin is how long a step of the demonstration may take.
	stepWithin = time.Minute
	oneDay     = 24 * time.Hour
)

// errNotTrue means that a step of the demonstration did not come true.
var errNotTrue = errors.New("the demonstration did not come true")

// givingDemo shows what becomes of donations: of most of them, of one whose webhook is lost, and of one whose donor Virtuous does not find.
type givingDemo struct {
	screen      *screen
	conn        *nats.Conn
	sandbox     *sandbox
	folder      string
	setClock    func(ctx context.Context, ahead time.Duration) error // of the services
	printReport func(dailyreport.Report) error

	ahead  time.Duration // of both clocks
	number int           // of the step
	aside  []string      // the donations that need an update
}

// run returns nil if everything came true.
func (d *givingDemo) run(ctx context.Context) error {
	for _, step := range []func(context.Context) error{
		d.onboard, d.donate, d.passMidnight, d.runImport, d.loseWebhook, d.recover, d.review, d.resolveLate, d.compare, d.report,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sayf prints what has come true.
func (d *givingDemo) sayf(format string, values ...any) {
	d.number++
	d.screen.sayf("%2d. "+format, append([]any{d.number}, values...)...)
}

// onboard publishes the plain onboarding message, as a partner does, and waits for the subscription of webhooks that it asks for.
func (d *givingDemo) onboard(ctx context.Context) error {
	settings := map[string]any{"imports": "manual", "needsUpdatePercent": demoSetAsidePercent}
	if err := d.sandbox.put(ctx, virtuousOrg+"/settings", settings); err != nil {
		return err
	}
	events := make(chan *nats.Msg, 16)
	listening, err := d.conn.ChanSubscribe(bus.SubjectEvent("onboarding.*", demoOrg), events)
	if err != nil {
		return fmt.Errorf("listen for events: %w", err)
	}
	defer func() { _ = listening.Unsubscribe() }() // the connection ends soon after
	payload, err := rollcallv1.Encode(&rollcallv1.OnboardingRequest{
		CustomerId: demoOrg, Virtuous: &rollcallv1.Virtuous{Token: sandboxKey(demoOrg), TransactionSource: demoSource, CreateWebhook: true},
	})
	if err != nil {
		return err //nolint:wrapcheck // it names the operation itself
	}
	if err := d.publish(ctx, bus.SubjectOnboard(demoOrg), payload); err != nil {
		return err
	}
	name, err := awaitGivingSetUp(ctx, events)
	if err != nil {
		return err
	}
	if err := d.await(ctx, "Virtuous has a webhook subscription", func(ctx context.Context) (bool, error) {
		subscriptions, err := listOf[struct{ Active bool }](ctx, d.sandbox, virtuousOrg+"/subscriptions")
		return len(subscriptions) == 1 && subscriptions[0].Active, err
	}); err != nil {
		return err
	}
	d.sayf("%s is onboarded: its key is that of %q, and Virtuous has a subscription for our webhooks", demoOrg, name)
	return nil
}

// awaitGivingSetUp returns the name of the organization at Virtuous.
func awaitGivingSetUp(ctx context.Context, events <-chan *nats.Msg) (name string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stepWithin, errNotTrue)
	defer cancel()
	for {
		select {
		case message := <-events:
			switch message.Subject {
			case bus.SubjectEvent(event.OnboardingCompleted, demoOrg):
				completed := &rollcallv1.OnboardingCompleted{}
				err := rollcallv1.Read(message.Data, completed)
				return completed.GetVirtuousOrganizationName(), err
			case bus.SubjectEvent(event.OnboardingRejected, demoOrg):
				rejected := &rollcallv1.OnboardingRejected{}
				err := rollcallv1.Read(message.Data, rejected)
				return "", errors.Join(fmt.Errorf("%w: %s", errRejected, errorsOf(rejected)), err)
			}
		case <-ctx.Done():
			return "", fmt.Errorf("no answer to the onboarding message: %w", context.Cause(ctx))
		}
	}
}

func (d *givingDemo) publish(ctx context.Context, subject string, payload []byte) error {
	streams, err := jetstream.New(d.conn)
	if err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	if _, err := streams.Publish(ctx, subject, payload); err != nil {
		return fmt.Errorf("publish on %s: %w", subject, err)
	}
	return nil
}

// donate publishes the donations, as the partner's platform does.
func (d *givingDemo) donate(ctx context.Context) error {
	for i := range demoDonations {
		amount := fmt.Sprintf("%d.50", 10+i)
		payload, err := json.Marshal(map[string]any{
			"customerId": demoOrg, "platformDonationId": fmt.Sprintf("don-%02d", i+1), "amount": amount, "currencyCode": "USD",
			"giftDate": "2026-11-20", "giftType": "Credit",
			"contact": map[string]any{
				"referenceId": fmt.Sprintf("donor-%02d", i+1), "type": "Household", "firstName": "Ana", "lastName": fmt.Sprintf("Ruiz %d", i+1),
				"email": fmt.Sprintf("ana.ruiz.%d@example.org", i+1),
			},
			"designations": []map[string]any{{"code": "CLEAN-WATER", "amountDesignated": amount}},
		})
		if err != nil {
			return fmt.Errorf("encode a donation: %w", err)
		}
		if err := d.publish(ctx, bus.SubjectDonation(demoOrg), payload); err != nil {
			return err
		}
	}
	if err := d.awaitStates(ctx, map[string]int{"submitted": demoDonations}); err != nil {
		return err
	}
	d.sayf("%d donations are published on %s: Virtuous accepts all of them, and holds them until midnight", demoDonations, bus.SubjectDonation(demoOrg))
	return nil
}

// passMidnight lets a day pass, and waits for the end of the night's reconciliation: it would find the gift whose webhook is to be lost.
func (d *givingDemo) passMidnight(ctx context.Context) error {
	reports := make(chan *nats.Msg, 16)
	listening, err := d.conn.ChanSubscribe(bus.SubjectEvent(event.ReportStored, demoOrg), reports)
	if err != nil {
		return fmt.Errorf("listen for reports: %w", err)
	}
	defer func() { _ = listening.Unsubscribe() }() // the connection ends soon after
	if err := d.pass(ctx, oneDay); err != nil {
		return err
	}
	if err := d.awaitReport(ctx, reports); err != nil {
		return err
	}
	var ledger virtuousLedger
	if err := d.await(ctx, "an import waits", func(ctx context.Context) (bool, error) {
		err := d.sandbox.get(ctx, virtuousOrg+"/ledger", &ledger)
		return ledger.Imports.Waiting == 1, err
	}); err != nil {
		return err
	}
	d.sayf("midnight passes on the clocks of the sandbox and of the services: Virtuous makes an import of %d transactions, which waits for staff",
		ledger.Transactions.Bundled)
	return nil
}

// awaitReport waits for the report of the day that both clocks show. That of the day before may come late.
func (d *givingDemo) awaitReport(ctx context.Context, reports <-chan *nats.Msg) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stepWithin, errNotTrue)
	defer cancel()
	since := time.Now().Add(d.ahead - oneDay/2)
	for {
		select {
		case message := <-reports:
			stored := &rollcallv1.ReportStored{}
			if err := rollcallv1.Read(message.Data, stored); err != nil {
				return err //nolint:wrapcheck // it names the operation itself
			}
			if stored.GetMadeAt().AsTime().After(since) {
				return nil
			}
		case <-ctx.Done():
			return fmt.Errorf("no report at the end of the night's reconciliation: %w", context.Cause(ctx))
		}
	}
}

// runImport does what staff do in the morning.
func (d *givingDemo) runImport(ctx context.Context) error {
	if err := d.sandbox.post(ctx, virtuousOrg+"/imports:run", map[string]any{}); err != nil {
		return err
	}
	transactions, err := listOf[virtuousTransaction](ctx, d.sandbox, virtuousOrg+"/transactions")
	if err != nil {
		return err
	}
	for _, one := range transactions {
		if one.State == "needs_update" {
			d.aside = append(d.aside, one.ID)
		}
	}
	if len(d.aside) != demoSetAside {
		return fmt.Errorf("%w: the import set aside %d transactions, not %d", errNotTrue, len(d.aside), demoSetAside)
	}
	confirmed := demoDonations - demoSetAside
	if err := d.awaitStates(ctx, map[string]int{"confirmed": confirmed, "submitted": demoSetAside}); err != nil {
		return err
	}
	d.sayf("staff run the import: %d transactions become gifts, and webhooks confirm their donations; %s and %s need an update", confirmed, d.aside[0], d.aside[1])
	return nil
}

// loseWebhook has staff resolve one of the transactions that were set aside, while webhooks are lost.
func (d *givingDemo) loseWebhook(ctx context.Context) error {
	var before virtuousLedger
	if err := d.sandbox.get(ctx, virtuousOrg+"/ledger", &before); err != nil {
		return err
	}
	if err := d.sandbox.put(ctx, virtuousOrg+"/settings", map[string]any{"webhooks": map[string]any{"loss": 1}}); err != nil {
		return err
	}
	if err := d.resolve(ctx, d.aside[0]); err != nil {
		return err
	}
	if err := d.await(ctx, "the webhook is lost", func(ctx context.Context) (bool, error) {
		var ledger virtuousLedger
		err := d.sandbox.get(ctx, virtuousOrg+"/ledger", &ledger)
		return ledger.Events.Lost > before.Events.Lost && ledger.Events.Waiting == 0, err
	}); err != nil {
		return err
	}
	if err := d.sandbox.put(ctx, virtuousOrg+"/settings", map[string]any{"webhooks": map[string]any{"loss": 0}}); err != nil {
		return err
	}
	if err := d.awaitStates(ctx, map[string]int{"confirmed": demoDonations - demoSetAside, "submitted": demoSetAside}); err != nil {
		return err
	}
	d.sayf("staff find the donor of %s, so it is a gift, too: but its webhook is lost, and the donation stays submitted", d.aside[0])
	return nil
}

func (d *givingDemo) resolve(ctx context.Context, id string) error {
	return d.sandbox.post(ctx, virtuousOrg+"/transactions:resolve", map[string]any{"source": demoSource, "ids": []string{id}})
}

// recover has the donations reconciled that were submitted more than a day ago.
func (d *givingDemo) recover(ctx context.Context) error {
	if err := d.pass(ctx, oneDay); err != nil {
		return err
	}
	if err := d.reconcile(ctx, "stuck"); err != nil {
		return err
	}
	if err := d.awaitStates(ctx, map[string]int{"confirmed": demoDonations - 1, "submitted": 1}); err != nil {
		return err
	}
	donation, err := d.donation(ctx, d.aside[0])
	if err != nil {
		return err
	}
	if donation.RecoveryPath == nil {
		return fmt.Errorf("%w: %s was not confirmed by a reconciliation", errNotTrue, d.aside[0])
	}
	d.sayf("a day later the reconciliation looks for the gifts of late donations: %s is confirmed (%s)", d.aside[0], *donation.RecoveryPath)
	return nil
}

// review has the donation reconciled that still has no gift.
func (d *givingDemo) review(ctx context.Context) error {
	if err := d.pass(ctx, oneDay+time.Hour); err != nil {
		return err
	}
	if err := d.reconcile(ctx, "needs_update"); err != nil {
		return err
	}
	if err := d.awaitStates(ctx, map[string]int{"confirmed": demoDonations - 1, "needs_review": 1}); err != nil {
		return err
	}
	donation, err := d.donation(ctx, d.aside[1])
	if err != nil {
		return err
	}
	if donation.ReviewReason == nil {
		return fmt.Errorf("%w: %s has no reason for its review", errNotTrue, d.aside[1])
	}
	d.sayf("after three days without a gift, %s needs a person's review (%s)", d.aside[1], *donation.ReviewReason)
	return nil
}

// resolveLate has staff resolve the last transaction.
func (d *givingDemo) resolveLate(ctx context.Context) error {
	if err := d.resolve(ctx, d.aside[1]); err != nil {
		return err
	}
	if err := d.awaitStates(ctx, map[string]int{"confirmed": demoDonations}); err != nil {
		return err
	}
	d.sayf("staff find its donor at last: the webhook of its gift confirms %s, late as it is", d.aside[1])
	return nil
}

// compare compares donations with Virtuous, one by one.
func (d *givingDemo) compare(ctx context.Context) error {
	transactions, err := listOf[virtuousTransaction](ctx, d.sandbox, virtuousOrg+"/transactions")
	if err != nil {
		return err
	}
	donations, err := d.donations(ctx)
	if err != nil {
		return err
	}
	differences := compareGiving(transactions, donations)
	d.screen.sayf("")
	d.screen.sayf("%s", d.screen.emphasise(fmt.Sprintf("%d donations, %d transactions at Virtuous, %d differences",
		len(donations), len(transactions), len(differences))))
	for _, line := range differences {
		d.screen.sayf("  %s", line)
	}
	if len(differences) > 0 || len(donations) != demoDonations {
		return errDifferences
	}
	return nil
}

// report prints the customer's report, which must show nothing that waits.
func (d *givingDemo) report(ctx context.Context) error {
	var made dailyreport.Report
	if err := ask(ctx, d.conn, service.APISubject("reports", "show"), operatorapi.GivingReportQuestion{CustomerID: demoOrg}, &made); err != nil {
		return err
	}
	d.screen.sayf("")
	if err := d.printReport(made); err != nil {
		return err
	}
	m := made.Metrics
	// The run of a night may find other gifts before their webhooks come, so more than one donation may count as recovered.
	if waiting := m.Pending.Value + m.SubmittedLate.Value + m.NeedsReview.Value + m.Failed.Value; waiting != 0 || m.RecoveredShare.Recovered < 1 {
		return fmt.Errorf("%w: the report has %d donations that wait, and %d that were recovered", errNotTrue, waiting, m.RecoveredShare.Recovered)
	}
	return nil
}
