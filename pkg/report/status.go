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

// Status is the state of one customer's integration. It has the groups and names of docs/guides.md#sync-status, and more.
// Every name is always present: null stands for a value that is not known yet. Times of our own are the database's.
type Status struct {
	CustomerID     string          `json:"customerId"`
	AsOf           time.Time       `json:"asOf"`
	Integration    Integration     `json:"integration"`
	Backfill       *BackfillStatus `json:"backfill"`
	Polling        Polling         `json:"polling"`
	Reconciliation Reconciliation  `json:"reconciliation"`
	WriteBack      WriteBackStatus `json:"writeBack"`
	Health         Health          `json:"health"`
	Budget         Budget          `json:"budget"`
	Inventory      Inventory       `json:"inventory"`
	Participations Participations  `json:"participations"`
	Giving         Giving          `json:"giving"`
}

// Integration says whether the customer is active, and since when.
type Integration struct {
	Enabled             bool       `json:"enabled"`
	OnboardedAt         time.Time  `json:"onboardedAt"`
	BackfillCompletedAt *time.Time `json:"backfillCompletedAt"`
	PausedAt            *time.Time `json:"pausedAt"`       // by an operator, the whole customer
	DisabledReason      *string    `json:"disabledReason"` // "auth_failed"; null if enabled or offboarded
	OffboardedAt        *time.Time `json:"offboardedAt"`
	PurgeAt             *time.Time `json:"purgeAt"` // until then the return of an offboarded customer needs no backfill
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

// WriteBackStatus says what waits to be written to VOMO, or for a person.
type WriteBackStatus struct {
	Fields       []string   `json:"fields"` // that the external system owns; none: nothing is written back
	Waiting      int64      `json:"waiting"`
	WaitingSince *time.Time `json:"waitingSince"`
	OpenReviews  int64      `json:"openReviews"`
}

// Inventory counts the users in the destination.
type Inventory struct {
	TotalUsersMirrored int64 `json:"totalUsersMirrored"`
}

// StatusQuestion asks for one customer's status.
type StatusQuestion struct {
	CustomerID string `json:"customerId"`
}

// StatusOf returns the status without the installation's limits.
func StatusOf(ctx context.Context, from *store.Store, customerID string) (Status, error) {
	return StatusUnder(ctx, from, customerID, budget.Limits{})
}

// StatusUnder answers rollcall.api.status.get, with the installation's limits. It returns store.ErrNotFound for a customer
// that was not onboarded.
func StatusUnder(ctx context.Context, from *store.Store, customerID string, installation budget.Limits) (Status, error) {
	customer, err := from.Customer(ctx, customerID)
	if err != nil {
		return Status{}, err
	}
	status := Status{CustomerID: customerID, Integration: integrationOf(customer)}
	if status.AsOf, err = from.Now(ctx); err != nil {
		return Status{}, err
	}
	facts := healthFacts{customer: customer, now: status.AsOf}
	for _, add := range []func(context.Context, *store.Store, *Status, *healthFacts) error{
		addOffboarding, addBackfill, addPolling, addReconciliation, addInventory, addParticipations, addAlerts, addParks, addLane, addWriteBack, addGiving,
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

func addOffboarding(ctx context.Context, from *store.Store, status *Status, facts *healthFacts) error {
	if facts.customer.OffboardedAt == nil {
		return nil
	}
	under, err := from.Offboarding(ctx, status.CustomerID)
	if errors.Is(err, store.ErrNotFound) { // a service of the version before offboarded it a moment ago
		return nil
	}
	status.Integration.PurgeAt = &under.PurgeAt
	return err
}

func addBackfill(ctx context.Context, from *store.Store, status *Status, facts *healthFacts) error {
	run, err := from.LatestBackfill(ctx, status.CustomerID)
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

func addInventory(ctx context.Context, from *store.Store, status *Status, facts *healthFacts) error {
	var err error
	if status.Health.DlqDepth, err = from.CountOpenLetters(ctx, status.CustomerID); err != nil {
		return err
	}
	facts.openLetters = status.Health.DlqDepth
	status.Inventory.TotalUsersMirrored, err = from.CountMappings(ctx, status.CustomerID)
	return err
}

func addAlerts(ctx context.Context, from *store.Store, status *Status, facts *healthFacts) error {
	alerts, err := from.ActiveAlerts(ctx, status.CustomerID)
	facts.raised = make(map[string]time.Time, len(alerts))
	for _, alert := range alerts {
		facts.alerts = append(facts.alerts, alert.Type)
		facts.raised[alert.Type] = alert.RaisedAt
	}
	if err != nil || !slices.Contains(facts.alerts, event.AlertContactShared) {
		return err
	}
	shared, err := from.SharedContact(ctx, status.CustomerID)
	if errors.Is(err, store.ErrNotFound) { // the condition has ended, and the notifier has not cleared the alert yet
		facts.alerts = slices.DeleteFunc(facts.alerts, func(kind string) bool { return kind == event.AlertContactShared })
		return nil
	}
	facts.shared = &shared
	return err
}

// addParks adds the parks of the customer's scheduled runs and letters. The backfill's park is in its run.
func addParks(ctx context.Context, from *store.Store, status *Status, facts *healthFacts) error {
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

func addWriteBack(ctx context.Context, from *store.Store, status *Status, facts *healthFacts) error {
	settings, err := facts.customer.WritesBack()
	if err != nil {
		return err
	}
	status.WriteBack.Fields = append([]string{}, settings.Fields...)
	if status.WriteBack.Waiting, status.WriteBack.WaitingSince, err = from.CountWaitingWritebacks(ctx, status.CustomerID); err != nil {
		return err
	}
	status.WriteBack.OpenReviews, err = from.CountOpenReviews(ctx, status.CustomerID, store.KindUser)
	return err
}

// addLane adds whether a stopped job still holds the lane.
func addLane(ctx context.Context, from *store.Store, status *Status, facts *healthFacts) error {
	until, err := from.LaneClosingUntil(ctx, status.CustomerID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	facts.closingUntil = &until
	return err
}

// Budget counts the customer's requests to VOMO, by job.
type Budget struct {
	Today     map[string]int64 `json:"today"`     // since midnight, UTC
	Total     map[string]int64 `json:"total"`     // ever
	PerMinute *float64         `json:"perMinute"` // what the limits allow; null if they are not known
}

func budgetOf(ctx context.Context, from *store.Store, customer store.Customer, installation budget.Limits) (Budget, error) {
	spent, err := from.Spent(ctx, customer.ID)
	if err != nil {
		return Budget{}, err
	}
	shown := Budget{Today: spent.Today, Total: spent.Ever}
	if known := installation.PerSecond > 0 || (customer.RequestsPerSecond != nil && customer.RequestsPerMinute != nil); known {
		allowed := installation.With(customer.RequestsPerSecond, customer.RequestsPerMinute).AllowedPerMinute()
		shown.PerMinute = &allowed
	}
	return shown, nil
}
