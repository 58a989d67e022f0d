package store

import (
	"context"
	"math"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// Conditions that only a look at all customers shows, most of them because only time brings them, by the types of their alerts.
const (
	ConditionPollStalled      = "poll_stalled"
	ConditionBackfillStalled  = "backfill_stalled"
	ConditionReconcileStalled = "reconcile_stalled"
	ConditionContactShared    = "contact_shared"
	ConditionDLQAge           = "dlq_age"
	ConditionDLQGrowth        = "dlq_growth"
)

// TimedConditions are their types, in the order in which everybody raises and clears alerts: two who do it in one
// transaction each wait for one another otherwise.
func TimedConditions() []string {
	return []string{
		ConditionBackfillStalled, ConditionContactShared, ConditionDLQAge, ConditionDLQGrowth, ConditionPollStalled, ConditionReconcileStalled,
	}
}

// ConditionBounds are from when on a condition is one. The bound of polls is two of the customer's own cadences.
type ConditionBounds struct {
	Backfill     time.Duration // without a page
	Reconcile    time.Duration // without a daily reconciliation that came to its end
	LetterAge    time.Duration
	LetterGrowth int // open letters that were opened within an hour
}

const (
	backfillPatience  = 15 * time.Minute
	reconcilePatience = 48 * time.Hour
)

// BoundsOf are the bounds under an installation's settings. A run whose worker died is taken over within a claim
// timeout: three of them without a page are no take-over any more.
func BoundsOf(claimTimeout, letterAge time.Duration, letterGrowth int) ConditionBounds {
	return ConditionBounds{
		Backfill: max(backfillPatience, 3*claimTimeout), Reconcile: reconcilePatience, LetterAge: letterAge, LetterGrowth: letterGrowth,
	}
}

// Condition is one that a customer is in, by the facts and not by what people were told.
type Condition struct {
	Customer string
	Type     string
	Since    time.Time // the last poll, page or reconciliation; the first of the letters
}

// ConditionsOfAll are the conditions that hold, of all customers: one statement, however many are well.
func (c Conn) ConditionsOfAll(ctx context.Context, bounds ConditionBounds) ([]Condition, error) {
	return c.conditions(ctx, bounds, true, []string{})
}

// ConditionsOf are those of these customers.
func (t *Tx) ConditionsOf(ctx context.Context, bounds ConditionBounds, customers ...string) ([]Condition, error) {
	return t.conditions(ctx, bounds, false, customers)
}

func (c Conn) conditions(ctx context.Context, bounds ConditionBounds, everybody bool, customers []string) ([]Condition, error) {
	// Planned for these customers alone: a plan that is good for everybody reads all customers.
	if !everybody {
		if err := c.queries.LettersPlanByValue(ctx, c.dbtx); err != nil {
			return nil, wrap("look for conditions", err)
		}
	}
	rows, err := c.queries.ConditionsFound(ctx, c.dbtx, &db.ConditionsFoundParams{
		Everybody: everybody, CustomerIds: customers, BackfillPatience: bounds.Backfill, ReconcilePatience: bounds.Reconcile,
		LetterAge: bounds.LetterAge, LetterGrowth: int64(bounds.LetterGrowth),
	})
	if err != nil {
		return nil, wrap("look for conditions", err)
	}
	found := make([]Condition, 0, len(rows))
	for _, row := range rows {
		found = append(found, Condition{Customer: row.CustomerID, Type: row.Type, Since: row.Since})
	}
	return found, nil
}

// StandingOf are the alerts of these types that stand, of all customers; Since is not filled in.
func (c Conn) StandingOf(ctx context.Context, types []string) ([]Condition, error) {
	rows, err := c.queries.AlertsStandingOf(ctx, c.dbtx, types)
	if err != nil {
		return nil, wrap("read alerts", err)
	}
	standing := make([]Condition, 0, len(rows))
	for _, row := range rows {
		standing = append(standing, Condition{Customer: row.CustomerID, Type: row.Type})
	}
	return standing, nil
}

// AlertLine is a row of alerts.
type AlertLine struct {
	ID        int64
	Customer  string
	Type      string
	Severity  string
	VomoID    string // "" where it is not of one user alone
	RaisedAt  time.Time
	ClearedAt *time.Time // nil while it stands
}

// AlertsAsked says which alerts are listed, newest first.
type AlertsAsked struct {
	Customer      string        // "": of all
	ClearedWithin time.Duration // also those that were over so lately; 0: those that stand
	Before        int64         // ids below this one; 0: from the newest
	Limit         int32
}

// Alerts lists alerts.
func (c Conn) Alerts(ctx context.Context, asked AlertsAsked) ([]AlertLine, error) {
	params := &db.AlertsPageParams{ClearedWithin: asked.ClearedWithin, Before: asked.Before, PageSize: asked.Limit}
	if asked.Customer != "" {
		params.CustomerID = &asked.Customer
	}
	if params.Before == 0 {
		params.Before = math.MaxInt64
	}
	rows, err := c.queries.AlertsPage(ctx, c.dbtx, params)
	if err != nil {
		return nil, wrap("list alerts", err)
	}
	lines := make([]AlertLine, 0, len(rows))
	for _, row := range rows {
		lines = append(lines, AlertLine{
			ID: row.ID, Customer: row.CustomerID, Type: row.Type, Severity: row.Severity, VomoID: row.VomoUserID, RaisedAt: row.RaisedAt,
			ClearedAt: row.ClearedAt,
		})
	}
	return lines, nil
}
