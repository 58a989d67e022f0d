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
	users, err := c.queries.MappingCountsFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, err
	}
	for _, row := range users {
		change(row.CustomerID, func(o *Overview) { o.Users = row.Users })
	}
	archived, err := c.queries.ArchivedUsersFor(ctx, c.dbtx, customers)
	if err != nil {
		return nil, err
	}
	for _, row := range archived {
		change(row.CustomerID, func(o *Overview) { o.Users += row.Users })
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
