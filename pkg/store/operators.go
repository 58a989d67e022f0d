package store

import (
	"context"

	"rollcall.dev/pkg/store/internal/db"
)

// ChangeCustomer writes what an operator may change of a customer: the destination, the cadence, the address,
// the limits, what is written back, and whether participations are read. ErrNotFound if no customer with that id was onboarded.
func (t *Tx) ChangeCustomer(ctx context.Context, customer Customer) error {
	changed, err := t.queries.SyncConfigChange(ctx, t.dbtx, &db.SyncConfigChangeParams{
		CustomerID: customer.ID, ExternalSystemUrl: customer.ExternalSystemURL, Destination: customer.Destination,
		PollCadenceMinutes: customer.PollCadenceMinutes, AdminEmail: customer.AdminEmail,
		RequestsPerSecond: customer.RequestsPerSecond, RequestsPerMinute: customer.RequestsPerMinute, WriteBack: customer.WriteBack,
		Participations: customer.Participations,
	})
	if err == nil && changed == 0 {
		err = ErrNotFound
	}
	return mapError("change customer "+customer.ID, err)
}

// Overview is what a list shows of a customer besides its settings.
type Overview struct {
	Run         *Run // the newest; nil if there is none
	Users       int64
	OpenLetters int64
	Alerts      []string // types of the active ones, oldest first
}

// Overviews reads the overviews of these customers, in a few statements for all of them.
func (c Conn) Overviews(ctx context.Context, customers []string) (map[string]Overview, error) {
	overviews, err := c.OverviewsWithoutUsers(ctx, customers)
	if err != nil {
		return nil, err
	}
	users, err := c.UserCounts(ctx, customers)
	if err != nil {
		return nil, err
	}
	for customer, count := range users {
		one := overviews[customer]
		one.Users = count
		overviews[customer] = one
	}
	return overviews, nil
}

// UserCounts counts the mirrored users of each of these customers, archived ones included. A customer without users has no entry. It reads an index
// entry for each user.
func (c Conn) UserCounts(ctx context.Context, customers []string) (map[string]int64, error) {
	counts := make(map[string]int64, len(customers))
	users, err := c.queries.MappingCountsFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, err
	}
	for _, row := range users {
		counts[row.CustomerID] = row.Users
	}
	archived, err := c.queries.ArchivedUsersFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, err
	}
	for _, row := range archived {
		counts[row.CustomerID] += row.Users
	}
	return counts, nil
}

// OverviewsWithoutUsers is Overviews without the counts of users, for lists of very many customers.
func (c Conn) OverviewsWithoutUsers(ctx context.Context, customers []string) (map[string]Overview, error) {
	overviews := make(map[string]Overview, len(customers))
	change := func(customer string, apply func(*Overview)) {
		one := overviews[customer]
		apply(&one)
		overviews[customer] = one
	}
	latest, err := c.queries.BackfillsLatestFor(ctx, c.dbtx, customers)
	runs, err := runsOf(latest, err)
	if err != nil {
		return nil, err
	}
	for _, run := range runs {
		change(run.Customer, func(o *Overview) { o.Run = &run })
	}
	letters, err := c.queries.LettersOpenCountsFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, err
	}
	for _, row := range letters {
		change(row.CustomerID, func(o *Overview) { o.OpenLetters = row.Letters })
	}
	alerts, err := c.queries.AlertsActiveFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, err
	}
	for _, row := range alerts {
		change(row.CustomerID, func(o *Overview) { o.Alerts = append(o.Alerts, row.Type) })
	}
	return overviews, nil
}
