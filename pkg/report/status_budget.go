package report

import (
	"context"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/store"
)

// Budget is who spent the customer's requests to VOMO, by job.
type Budget struct {
	Today     map[string]int64 `json:"today"`     // since midnight, UTC
	Total     map[string]int64 `json:"total"`     // ever
	PerMinute *float64         `json:"perMinute"` // what the limits in force allow; null where they are not known
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
