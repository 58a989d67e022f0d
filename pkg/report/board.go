package report

import (
	"context"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// boardBatch is how many customers the board reads with the same few statements.
const boardBatch = 500

// BoardLine is a customer with what is wrong. Its users are not counted, because counting takes as long as the customer is large.
type BoardLine struct {
	operatorapi.Customer

	Reasons []Reason
}

// Board returns all customers with what is wrong with each, in the order of their ids, and the database's time. It takes about 30 µs for a
// customer, so its caller keeps the result for a while.
func Board(ctx context.Context, from *store.Store) ([]BoardLine, time.Time, error) {
	asOf, err := from.Now(ctx)
	if err != nil {
		return nil, asOf, err
	}
	lines := []BoardLine{}
	for after := ""; ; {
		customers, err := from.Customers(ctx, after, boardBatch)
		if err != nil || len(customers) == 0 {
			return lines, asOf, err
		}
		ids := make([]string, 0, len(customers))
		for _, customer := range customers {
			ids = append(ids, customer.ID)
		}
		facts, err := healthFactsOf(ctx, from, asOf, customers, ids, from.OverviewsWithoutUsers)
		if err != nil {
			return nil, asOf, err
		}
		for i, customer := range customers {
			lines = append(lines, BoardLine{Customer: customerOf(customer, facts[i]), Reasons: facts[i].reasons()})
		}
		after = ids[len(ids)-1]
	}
}
