package report

import (
	"context"
	"errors"
	"time"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

// Status is one customer's integration in the recipe's shape (recipe step 5).
type Status struct {
	CustomerID  string          `json:"customerId"`
	Integration Integration     `json:"integration"`
	Backfill    *BackfillStatus `json:"backfill"`
	Polling     Polling         `json:"polling"`
	Health      Health          `json:"health"`
	Inventory   Inventory       `json:"inventory"`
}

// Integration says whether it runs, and since when.
type Integration struct {
	Enabled             bool       `json:"enabled"`
	OnboardedAt         time.Time  `json:"onboardedAt"`
	BackfillCompletedAt *time.Time `json:"backfillCompletedAt"`
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

// Polling is null throughout until there is a poller.
type Polling struct {
	LastRunAt           *time.Time `json:"lastRunAt"`
	LastRunOutcome      *string    `json:"lastRunOutcome"`
	CheckpointTimestamp *time.Time `json:"checkpointTimestamp"`
	LagMinutes          *int64     `json:"lagMinutes"`
	CaughtUpAt          *time.Time `json:"caughtUpAt"`
}

// Health names what is wrong and what helps. IsHealthy is null until polls give a heartbeat to judge by.
type Health struct {
	DlqDepth                     int64    `json:"dlqDepth"`
	AverageReconciliationGapRate *float64 `json:"averageReconciliationGapRate"`
	IsHealthy                    *bool    `json:"isHealthy"`
	Reasons                      []Reason `json:"reasons"`
}

// Reason is one thing that is wrong.
type Reason struct {
	Code   string `json:"code"`
	Text   string `json:"text"`
	Remedy string `json:"remedy"`
}

// Inventory is what stands in the destination.
type Inventory struct {
	TotalUsersMirrored int64 `json:"totalUsersMirrored"`
}

// StatusQuestion asks for one customer's status.
type StatusQuestion struct {
	CustomerID string `json:"customerId"`
}

// StatusOf answers rollcall.api.status.get; store.ErrNotFound for a customer whom nobody onboarded.
func StatusOf(ctx context.Context, from *store.Store, customerID string) (Status, error) {
	customer, err := from.Customer(ctx, customerID)
	if err != nil {
		return Status{}, err
	}
	status := Status{CustomerID: customerID, Integration: Integration{
		Enabled: customer.Enabled, OnboardedAt: customer.OnboardedAt, BackfillCompletedAt: customer.BackfillCompletedAt,
	}}
	status.Health.Reasons = []Reason{}
	if !customer.Enabled {
		status.Health.Reasons = append(status.Health.Reasons, explain("disabled"))
	}
	if err := addBackfill(ctx, from, &status); err != nil {
		return Status{}, err
	}
	if err := addCheckpoint(ctx, from, &status); err != nil {
		return Status{}, err
	}
	if status.Health.DlqDepth, err = from.CountOpenLetters(ctx, customerID); err != nil {
		return Status{}, err
	}
	if status.Inventory.TotalUsersMirrored, err = from.CountMappings(ctx, customerID); err != nil {
		return Status{}, err
	}
	alerts, err := from.StandingAlerts(ctx, customerID)
	if err != nil {
		return Status{}, err
	}
	for _, alert := range alerts {
		status.Health.Reasons = append(status.Health.Reasons, explain(alert.Type))
	}
	return status, nil
}

func addBackfill(ctx context.Context, from *store.Store, status *Status) error {
	run, err := from.LatestRun(ctx, status.CustomerID)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if run.State == store.RunPaused {
		status.Health.Reasons = append(status.Health.Reasons, explain("paused"))
	}
	owed, err := from.RewriteOwed(ctx, status.CustomerID)
	if err != nil {
		return err
	}
	if owed != nil {
		status.Health.Reasons = append(status.Health.Reasons, explain("rewrite_unfinished"))
	}
	shown := BackfillOf(run)
	status.Backfill = &BackfillStatus{
		State: shown.State, Processed: shown.Processed, Total: shown.Total, EtaSeconds: shown.EtaSeconds,
		RequestsPerMinute: shown.RequestsPerMinute, Until: shown.DueAt,
	}
	if run.State == store.RunParked {
		status.Backfill.WaitingFor = shown.ParkReason
	}
	if run.Verified != nil && !*run.Verified {
		status.Health.Reasons = append(status.Health.Reasons, explain(event.ConditionUnverified))
	}
	return nil
}

func addCheckpoint(ctx context.Context, from *store.Store, status *Status) error {
	checkpoint, err := from.Checkpoint(ctx, status.CustomerID, store.ResourceUserSync)
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if checkpoint.Unix() > 0 { // the epoch stands for "nothing read yet"
		status.Polling.CheckpointTimestamp = &checkpoint
	}
	return nil
}

// explain gives the words for a condition; the texts stand beside the alerts that raise them.
func explain(code string) Reason {
	text, remedy := event.Explain(code)
	return Reason{Code: code, Text: text, Remedy: remedy}
}
