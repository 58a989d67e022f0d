package report

import (
	"context"
	"errors"
	"slices"
	"time"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

// Status is one customer's integration, with the groups and names of docs/guides.md#sync-status and more. Every name is
// always there: null stands for what is not known yet. All of our own times are the database's.
type Status struct {
	CustomerID     string          `json:"customerId"`
	AsOf           time.Time       `json:"asOf"`
	Integration    Integration     `json:"integration"`
	Backfill       *BackfillStatus `json:"backfill"`
	Polling        Polling         `json:"polling"`
	Reconciliation Reconciliation  `json:"reconciliation"`
	Health         Health          `json:"health"`
	Budget         Budget          `json:"budget"`
	Inventory      Inventory       `json:"inventory"`
}

// Integration says whether it runs, and since when.
type Integration struct {
	Enabled             bool       `json:"enabled"`
	OnboardedAt         time.Time  `json:"onboardedAt"`
	BackfillCompletedAt *time.Time `json:"backfillCompletedAt"`
	PausedAt            *time.Time `json:"pausedAt"`       // by an operator, the whole customer
	DisabledReason      *string    `json:"disabledReason"` // "auth_failed"; null where it is enabled, or offboarded
	OffboardedAt        *time.Time `json:"offboardedAt"`
}

// BackfillStatus is the newest run in short.
type BackfillStatus struct {
	State             string     `json:"state"`
	WaitingFor        *string    `json:"waitingFor"` // a parked run: the reason
	Until             *time.Time `json:"until"`      // a parked run: when it is tried again
	Processed         int64      `json:"processed"`
	Total             *int64     `json:"total"`
	EtaSeconds        *int64     `json:"etaSeconds"`
	RequestsPerMinute *float64   `json:"requestsPerMinute"`
}

// Inventory is what stands in the destination.
type Inventory struct {
	TotalUsersMirrored int64 `json:"totalUsersMirrored"`
}

// StatusQuestion asks for one customer's status.
type StatusQuestion struct {
	CustomerID string `json:"customerId"`
}

// StatusOf is StatusUnder where the installation's own limits are not known.
func StatusOf(ctx context.Context, from *store.Store, customerID string) (Status, error) {
	return StatusUnder(ctx, from, customerID, budget.Limits{})
}

// StatusUnder answers rollcall.api.status.get, under the installation's limits; store.ErrNotFound for a customer that
// was not onboarded.
func StatusUnder(ctx context.Context, from *store.Store, customerID string, installation budget.Limits) (Status, error) {
	customer, err := from.Customer(ctx, customerID)
	if err != nil {
		return Status{}, err
	}
	status := Status{CustomerID: customerID, Integration: integrationOf(customer)}
	if status.AsOf, err = from.Now(ctx); err != nil {
		return Status{}, err
	}
	facts := standing{customer: customer, now: status.AsOf}
	for _, add := range []func(context.Context, *store.Store, *Status, *standing) error{
		addBackfill, addPolling, addReconciliation, addInventory, addAlerts, addParks, addLane,
	} {
		if err := add(ctx, from, &status, &facts); err != nil {
			return Status{}, err
		}
	}
	if status.Budget, err = budgetOf(ctx, from, customer, installation); err != nil {
		return Status{}, err
	}
	status.Health.Reasons = facts.reasons()
	status.Health.IsHealthy = facts.healthy(status.Health.Reasons)
	return status, nil
}

func integrationOf(customer store.Customer) Integration {
	shown := Integration{
		Enabled: customer.Enabled, OnboardedAt: customer.OnboardedAt, BackfillCompletedAt: customer.BackfillCompletedAt,
		PausedAt: customer.PausedAt, OffboardedAt: customer.OffboardedAt,
	}
	if customer.DisabledReason != "" {
		shown.DisabledReason = &customer.DisabledReason
	}
	return shown
}

func addBackfill(ctx context.Context, from *store.Store, status *Status, facts *standing) error {
	run, err := from.LatestRun(ctx, status.CustomerID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	owed, err := from.RewriteOwed(ctx, status.CustomerID)
	if err != nil {
		return err
	}
	facts.run, facts.rewriteOwed = &run, owed != nil
	if owed != nil {
		facts.rewriteSince = &owed.Before
	}
	shown := BackfillOf(run)
	status.Backfill = &BackfillStatus{
		State: shown.State, Processed: shown.Processed, Total: shown.Total, EtaSeconds: shown.EtaSeconds,
		RequestsPerMinute: shown.RequestsPerMinute, Until: shown.DueAt,
	}
	if run.State == store.RunParked {
		status.Backfill.WaitingFor = shown.ParkReason
	}
	return nil
}

func addInventory(ctx context.Context, from *store.Store, status *Status, facts *standing) error {
	var err error
	if status.Health.DlqDepth, err = from.CountOpenLetters(ctx, status.CustomerID); err != nil {
		return err
	}
	facts.openLetters = status.Health.DlqDepth
	status.Inventory.TotalUsersMirrored, err = from.CountMappings(ctx, status.CustomerID)
	return err
}

func addAlerts(ctx context.Context, from *store.Store, status *Status, facts *standing) error {
	alerts, err := from.StandingAlerts(ctx, status.CustomerID)
	facts.raised = make(map[string]time.Time, len(alerts))
	for _, alert := range alerts {
		facts.alerts = append(facts.alerts, alert.Type)
		facts.raised[alert.Type] = alert.RaisedAt
	}
	if err != nil || !slices.Contains(facts.alerts, event.AlertContactShared) {
		return err
	}
	shared, err := from.SharedContactOf(ctx, status.CustomerID)
	if errors.Is(err, store.ErrNotFound) { // it is over, and the notifier has not looked yet
		facts.alerts = slices.DeleteFunc(facts.alerts, func(kind string) bool { return kind == event.AlertContactShared })
		return nil
	}
	facts.shared = &shared
	return err
}

// addParks adds what the other work of the customer waits for; the backfill's own park is in its run.
func addParks(ctx context.Context, from *store.Store, status *Status, facts *standing) error {
	parked, err := from.ParkedOf(ctx, status.CustomerID)
	if err != nil {
		return err
	}
	facts.parked = parked[status.CustomerID]
	if facts.openLetters < manyLetters {
		return nil
	}
	since, err := from.OpenLettersSince(ctx, status.CustomerID, manyLetters)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	facts.manyLettersSince = &since
	return err
}

// addLane notes whether the job that was stopped last has not let go yet.
func addLane(ctx context.Context, from *store.Store, status *Status, facts *standing) error {
	until, err := from.LaneClosingUntil(ctx, status.CustomerID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	facts.closingUntil = &until
	return err
}
