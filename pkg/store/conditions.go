package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// Conditions that show only in the rows of all customers, most of them because time passes; by the types of their alerts.
const (
	ConditionPollStalled      = "poll_stalled"
	ConditionBackfillStalled  = "backfill_stalled"
	ConditionReconcileStalled = "reconcile_stalled"
	ConditionContactShared    = "contact_shared"
	ConditionDLQAge           = "dlq_age"
	ConditionDLQGrowth        = "dlq_growth"
	ConditionGivingPendingAge = "giving_pending_age"
)

// TimedConditions returns their types, in the order in which every process raises and clears alerts. In another order, two
// transactions could wait for each other.
func TimedConditions() []string {
	return []string{
		ConditionBackfillStalled, ConditionContactShared, ConditionDLQAge, ConditionDLQGrowth, ConditionGivingPendingAge, ConditionPollStalled,
		ConditionReconcileStalled,
	}
}

// ConditionBounds are the limits above which a condition holds. The limit of polls is twice the customer's own cadence.
type ConditionBounds struct {
	Backfill     time.Duration // without a page
	Reconcile    time.Duration // without a complete daily reconciliation
	LetterAge    time.Duration
	LetterGrowth int           // open letters that were opened within an hour
	DonationAge  time.Duration // of a pending donation
}

const (
	backfillPatience  = 15 * time.Minute
	reconcilePatience = 48 * time.Hour
)

// BoundsOf returns the bounds for an installation's settings. Another worker takes over a run within a claim timeout after its
// worker died, so three claim timeouts without a page are a stall.
func BoundsOf(claimTimeout, letterAge time.Duration, letterGrowth int, donationAge time.Duration) ConditionBounds {
	return ConditionBounds{
		Backfill: max(backfillPatience, 3*claimTimeout), Reconcile: reconcilePatience, LetterAge: letterAge, LetterGrowth: letterGrowth,
		DonationAge: donationAge,
	}
}

// Condition holds for a customer according to its rows, whether or not an alert was raised for it.
type Condition struct {
	Customer string
	Type     string
	Since    time.Time // the last poll, page or reconciliation; the first of the letters
}

// ConditionsOfAll returns the conditions of all customers. It is one statement, however many customers have none.
func (c Conn) ConditionsOfAll(ctx context.Context, bounds ConditionBounds) ([]Condition, error) {
	return c.conditions(ctx, bounds, true, []string{})
}

// ConditionsOf returns the conditions of these customers.
func (t *Tx) ConditionsOf(ctx context.Context, bounds ConditionBounds, customers ...string) ([]Condition, error) {
	return t.conditions(ctx, bounds, false, customers)
}

func (c Conn) conditions(ctx context.Context, bounds ConditionBounds, everybody bool, customers []string) ([]Condition, error) {
	// The statement is planned for these customers' ids: a generic plan reads all customers.
	if !everybody {
		if err := c.queries.LettersPlanByValue(ctx, c.dbtx); err != nil {
			return nil, err
		}
	}
	rows, err := c.queries.ConditionsFound(ctx, c.dbtx, &db.ConditionsFoundParams{
		Everybody: everybody, CustomerIds: customers, BackfillPatience: bounds.Backfill, ReconcilePatience: bounds.Reconcile,
		LetterAge: bounds.LetterAge, LetterGrowth: int64(bounds.LetterGrowth),
		DonationAge: bounds.DonationAge,
	})
	if err != nil {
		return nil, err
	}
	found := make([]Condition, 0, len(rows))
	for _, row := range rows {
		found = append(found, Condition{Customer: row.CustomerID, Type: row.Type, Since: row.Since})
	}
	return found, nil
}
