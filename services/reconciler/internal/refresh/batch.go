package refresh

import (
	"context"
	"time"

	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
)

// batchEvery is how far apart two batches are.
const batchEvery = time.Minute

// nextBatch returns how many requests may be sent now. A batch goes on until its quota is used up; after that the run waits for the
// next minute. The quota of a cycle's first batch is that of a minute in which nothing else was requested: what was is not known.
func nextBatch(ctx context.Context, e *job.Execution, share float64) (store.RequestBatch, error) {
	now, err := e.Store.Now(ctx)
	if err != nil {
		return store.RequestBatch{}, err
	}
	spent, err := e.Store.Spent(ctx, e.Customer.ID)
	if err != nil {
		return store.RequestBatch{}, err
	}
	own, others := split(spent)
	perMinute := e.Connect.Limits.With(e.Customer.RequestsPerSecond, e.Customer.RequestsPerMinute).AllowedPerMinute()
	next := store.RequestBatch{At: now, Own: own, Others: others}
	last := e.Run.Cursor.Batch
	switch {
	case last == nil:
		next.Quota = quotaOf(share, perMinute, batchEvery, 0)
	case now.Sub(last.At) >= batchEvery:
		next.Quota = quotaOf(share, perMinute, now.Sub(last.At), others-last.Others)
	case own-last.Own < last.Quota:
		return *last, nil
	default:
		return store.RequestBatch{}, job.WaitUntil(job.ParkPaced, last.At.Add(batchEvery))
	}
	return next, nil
}

// quotaOf returns how many requests a batch has: the share of those that the limits allowed a minute and that other jobs did not
// send, in the time since the last batch; at least one. Time in which the run waited for something else is not made up for: after
// it, a batch has a minute's requests, like any other.
func quotaOf(share, perMinute float64, elapsed time.Duration, others int64) int64 {
	unused := perMinute - float64(others)/elapsed.Minutes()
	return max(1, int64(share*unused))
}

// split returns how many requests cycles of participations have spent, and how many other jobs.
func split(spent store.Spending) (own, others int64) {
	for name, requests := range spent.Ever {
		if name == store.JobParticipations {
			own += requests
		} else {
			others += requests
		}
	}
	return own, others
}
