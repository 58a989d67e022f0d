package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"rollcall.dev/pkg/backoff"
	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/connector"
	transaction "rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/operatoraudit"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
	"rollcall.dev/pkg/worker"
	"rollcall.dev/services/reconciler/internal/deletion"
	"rollcall.dev/services/reconciler/internal/giving"
)

const (
	// givingSlots is how many customers' giving one process reconciles at once.
	givingSlots = 8
	// longestRequest limits one request to Virtuous, which must end well within the lease.
	longestRequest = 30 * time.Second
)

// givingRounds returns the rounds in which customers are reconciled with Virtuous.
func givingRounds(s *service.Service, toVirtuous http.RoundTripper, guard deletion.Guard) *round.Runner {
	reconciling := &giving.Reconciler{
		Store: s.Store, Logger: s.Logger, Every: s.Config.GivingReconcileEvery, Guard: guard, Sleep: backoff.Sleep,
		Inbound: &inbound.Applier{Store: s.Store, Vault: s.Vault, Logger: s.Logger, TransactionPurpose: transaction.PurposeTransaction},
		Virtuous: &connector.Virtuous{
			Store: s.Store, Vault: s.Vault, Logger: s.Logger, BaseURL: s.Config.VirtuousBaseURL, Transport: toVirtuous,
			Timeout: min(longestRequest, s.Config.ClaimTimeout*2/5), Customers: virtuous.NewCustomers(virtuous.CustomersConfig{}),
			Hourly: budget.Hourly{PerHour: s.Config.VirtuousRequestsPerHour, Share: s.Config.VirtuousShare},
		},
	}
	return round.New(round.Config{
		Store: s.Store, Logger: s.Logger, Holder: s.Instance, LeaseFor: s.Config.ClaimTimeout, Slots: givingSlots, Kind: reconciling.Kind(),
		Tracing: s.Tracing,
	})
}

// dailyReports returns what stores the daily reports, with the installation's limits.
func dailyReports(s *service.Service) (*giving.Reports, error) {
	limits, err := dailyreport.ParseLimits(s.Config.GivingReportLimits)
	if err != nil {
		return nil, fmt.Errorf("read GIVING_REPORT_LIMITS: %w", err)
	}
	floors, err := dailyreport.ParseFloors(s.Config.GivingAlertFloors)
	if err != nil {
		return nil, fmt.Errorf("read GIVING_ALERT_FLOORS: %w", err)
	}
	return &giving.Reports{Store: s.Store, Logger: s.Logger, Reporter: dailyreport.Reporter{Limits: limits, Floors: floors}}, nil
}

// codeGivingOff is the code in operator_audit of a request for a customer without giving.
const codeGivingOff = "customer_not_served"

// askGiving works a request of an operator that concerns giving. A customer without giving is not served, and only the report of one
// whose giving is switched off.
func (r *reconciler) askGiving(ctx context.Context, delivery *worker.Delivery, customer, category string) error {
	config, err := r.store.VirtuousConfig(ctx, customer)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	isServed := err == nil && (config.Enabled || category == bus.CategoryReport && config.DisabledReason != store.GivingRemoved)
	outcome, code := store.ActDone, ""
	if !isServed {
		outcome, code = store.ActRejected, codeGivingOff
	} else if err := r.doGiving(ctx, customer, category); err != nil {
		return err
	}
	_, err = r.store.NoteAct(ctx, operatoraudit.MessageAct(delivery, "reconcile."+category, customer, outcome, code))
	return err
}

// doGiving stores the report of today, or has the rounds work another category: that needs the lane, and ends a hold.
func (r *reconciler) doGiving(ctx context.Context, customer, category string) error {
	if category == bus.CategoryReport {
		return r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := r.reporter.MakeAndStore(ctx, tx, customer)
			return err
		})
	}
	err := r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error { return giving.Ask(ctx, tx, customer, category) })
	if err != nil {
		return err
	}
	r.wake(customer)
	return nil
}
