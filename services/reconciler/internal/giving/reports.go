package giving

import (
	"context"
	"time"

	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
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
// the report. Once a week the search for deleted gifts and that for drift are added; the report does not wait for them, because they may take days.
// more reports that there may be others.
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
		var all, enabled, weekly []string
		var next []time.Time
		for _, one := range due {
			zone := zoneOf(one.TimeZone)
			all, next = append(all, one.Customer), append(next, night.Next(one.Customer, zone, now))
			if one.Enabled {
				enabled = append(enabled, one.Customer)
				if isWeekly(one, zone, now) {
					weekly = append(weekly, one.Customer)
				}
			}
		}
		if err := tx.SetNextDailyRuns(ctx, all, next, r.Every); err != nil {
			return err
		}
		if err := ask(ctx, tx, enabled, asking(), true); err != nil {
			return err
		}
		if err := ask(ctx, tx, weekly, []string{bus.CategoryGiftDeletions, bus.CategoryDrift}, false); err != nil {
			return err
		}
		return ask(ctx, tx, all, []string{bus.CategoryReport}, true)
	})
	return more && err == nil, err
}

// isWeekly reports whether the customer's weekly time is that of its daily run, or of one that was missed since that was due.
func isWeekly(due store.DailyRunDue, zone *time.Location, now time.Time) bool {
	return !night.NextWeekly(due.Customer, zone, due.DueAt.Add(-time.Second)).After(now)
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
		if made, err = r.Reporter.MakeAndStore(ctx, tx, customer); err != nil {
			return err
		}
		if err := publishStored(ctx, tx, made); err != nil {
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

// publishStored publishes that the day has its report: the notifier mails what waits for the customer's staff, and sends report.ready to the
// partner's endpoints. A request by hand publishes nothing, so that they have one mail a day.
func publishStored(ctx context.Context, tx *store.Tx, made dailyreport.Report) error {
	for _, name := range []string{event.ReportStored, event.ReportReady} {
		message, err := event.Fact{
			Name: name, Customer: made.CustomerID, At: made.MadeAt, ID: name + "-" + made.CustomerID + "-" + made.Date,
			Data: &rollcallv1.ReportStored{
				CustomerId: made.CustomerID, Date: made.Date, State: made.State, ReviewCount: event.Count(made.WaitingForReview()),
				MadeAt: timestamppb.New(made.MadeAt),
			},
		}.Message()
		if err != nil {
			return err
		}
		if err := tx.Publish(ctx, message); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reports) at(place string) error {
	if r.reached == nil {
		return nil
	}
	return r.reached(place)
}
