package giving

import (
	"context"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/reconciler/internal/night"
)

const (
	// reportsEvery is how often reports that are due are looked for.
	reportsEvery = 5 * time.Second
	// longestWait is how long a report waits for the other categories of its daily run. They come to no end while the customer is paused or
	// held, and the report of such a customer matters most. An hour after its night the day is still the same.
	longestWait = time.Hour
)

// scheduleDaily begins the daily run of the customers whose night has come: the categories that ask Virtuous, unless giving is switched off, and then
// the report. more reports that there may be others.
func (r *Reconciler) scheduleDaily(ctx context.Context) (more bool, err error) {
	err = r.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		due, err := tx.LockDailyRunsDue(ctx, scheduleAtOnce)
		if err != nil || len(due) == 0 {
			return err
		}
		more = len(due) == scheduleAtOnce
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		var all, enabled []string
		var next []time.Time
		for _, one := range due {
			all, next = append(all, one.Customer), append(next, night.Next(one.Customer, zoneOf(one.TimeZone), now))
			if one.Enabled {
				enabled = append(enabled, one.Customer)
			}
		}
		if err := tx.SetNextDailyRuns(ctx, all, next, r.Every); err != nil {
			return err
		}
		if err := ask(ctx, tx, enabled, asking(), true); err != nil {
			return err
		}
		return ask(ctx, tx, all, []string{bus.CategoryReport}, true)
	})
	return more && err == nil, err
}

// zoneOf returns an organization's time zone; UTC if it is not known, as for requests to Virtuous.
func zoneOf(name string) *time.Location {
	zone, err := time.LoadLocation(name)
	if err != nil {
		return time.UTC
	}
	return zone
}

// Reports stores the report of each customer's day at the end of its daily run. It needs neither Virtuous nor the customer's lane.
type Reports struct {
	Store    *store.Store
	Logger   *zap.Logger
	Reporter dailyreport.Reporter

	reached func(place string) error // as in Reconciler
}

// Run stores reports that are due until ctx ends.
func (r *Reports) Run(ctx context.Context) {
	job.Every(ctx, reportsEvery, func() {
		if _, err := r.StoreDue(ctx); err != nil && ctx.Err() == nil {
			r.Logger.Warn("due reports not looked for", zap.Error(err))
		}
	})
}

// StoreDue stores the reports that are due, and returns how many it has stored. One that fails stays due, and does not stop the others.
func (r *Reports) StoreDue(ctx context.Context) (stored int, err error) {
	due, err := r.Store.GivingReportsDue(ctx, longestWait, dueAtOnce)
	if err != nil {
		return 0, err
	}
	for _, customer := range due {
		isStored, err := r.store(ctx, customer)
		switch {
		case ctx.Err() != nil:
			return stored, context.Cause(ctx)
		case err != nil:
			r.Logger.Error("report not stored", zap.String("customer", customer), zap.Error(err))
		case isStored:
			stored++
		}
	}
	return stored, nil
}

// store makes the customer's report, and ends the wait for it in the same transaction: no crash stores it twice or not at all.
func (r *Reports) store(ctx context.Context, customer string) (stored bool, err error) {
	var made dailyreport.Report
	err = r.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		taken, err := tx.TakeGivingReport(ctx, customer)
		if err != nil || !taken {
			return err
		}
		if made, err = r.Reporter.MakeAndStore(ctx, tx.Conn, customer); err != nil {
			return err
		}
		stored = true
		return r.at("report_stored")
	})
	if err != nil || !stored {
		return false, err
	}
	r.Logger.Info("report stored", zap.String("customer", customer), zap.String("date", made.Date), zap.String("state", made.State))
	return true, nil
}

func (r *Reports) at(place string) error {
	if r.reached == nil {
		return nil
	}
	return r.reached(place)
}
