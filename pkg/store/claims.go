package store

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"rollcall.dev/pkg/store/internal/db"
	"rollcall.dev/pkg/store/internal/direct"
)

// RunClaim says which run is claimed, and by which holder.
type RunClaim struct {
	Customer string
	Kind     string
	Holder   string
	LeaseFor time.Duration
	Grant    *GrantClaim // nil: no grant is taken with the claim
}

// GrantClaim says how the first grant of the customer's budget is taken together with a claim.
type GrantClaim struct {
	Job      string
	Step     time.Duration // the time between two requests
	Patience time.Duration // a grant that is further away is not taken
}

// ClaimedRun is a run with the lane of its customer, and what the work needs to know before it begins.
type ClaimedRun struct {
	Lease    *Lease
	Customer Customer // zero if it was deleted meanwhile
	Run      *Run     // nil: there is no run to claim in the table of this version
	Sides    MirrorSides
	Grant    *ClaimedGrant // nil: none was taken
}

// grantLasts is for how long after its moment a grant of a claim may be used. The customer's budget is moved on by as much, so
// that a request which leaves at the last moment is still a step away from the next one. Opening both sides takes a few milliseconds.
const grantLasts = 100 * time.Millisecond

// ClaimedGrant is a grant of the customer's budget that was taken with a claim. It is for one request.
type ClaimedGrant struct {
	Step     time.Duration
	from, to time.Time
}

// Use returns how long to wait before the request is sent; ok is false if the grant is over.
func (g *ClaimedGrant) Use(now time.Time) (wait time.Duration, ok bool) {
	wait = max(0, g.from.Sub(now))
	return wait, now.Add(wait).Before(g.to)
}

// TakeRun takes the lane of the customer's mirror and claims the customer's run, in one transaction and one round trip, and reads
// what the work needs to know once the lane is taken: no other job changes it from then on. It counts the attempt. If another job
// has the lane, TakeRun marks the lane as wanted and returns ErrLaneTaken.
//
// If it returns ErrUnavailable, the run may have been claimed all the same: ForgetClaim takes that back.
func (s *Store) TakeRun(ctx context.Context, claim RunClaim) (claimed ClaimedRun, err error) {
	lease := &Lease{
		Customer: claim.Customer, lane: LaneMirror, holder: claim.Holder + "/" + uuid.NewString(), store: s, ttl: claim.LeaseFor, now: time.Now,
	}
	claimed.Lease = lease
	sent := lease.now()
	var wait *time.Duration
	// The statements of a batch are one transaction. Each sees the lane as the first one left it, and changes nothing if that one did
	// not take it.
	batch := &pgx.Batch{}
	queue(batch, func(on db.DBTX) error {
		_, err := s.queries.LeaseTakeIfFree(ctx, on, &db.LeaseTakeIfFreeParams{CustomerID: claim.Customer, Holder: lease.holder, Ttl: lease.ttl})
		return err
	}, func(rows pgx.Rows) error {
		return optionalRow(rows, pgx.RowTo[int64], func(epoch int64) error { lease.Epoch = epoch; return nil })
	})
	queueRow(batch, func(on db.DBTX) error {
		_, err := s.queries.RunClaimInLane(ctx, on, &db.RunClaimInLaneParams{CustomerID: claim.Customer, Kind: claim.Kind, Holder: lease.holder})
		return err
	}, func(row *db.Run) error {
		run, err := oneRun(row, nil)
		claimed.Run = &run
		return err
	})
	if grant := claim.Grant; grant != nil {
		queue(batch, func(on db.DBTX) error {
			_, err := s.queries.BudgetTakeWithLane(ctx, on, &db.BudgetTakeWithLaneParams{
				CustomerID: claim.Customer, Holder: lease.holder, Job: grant.Job, Step: grant.Step + grantLasts, Patience: grant.Patience,
			})
			return err
		}, func(rows pgx.Rows) error {
			return optionalRow(rows, pgx.RowTo[float64], func(seconds float64) error { wait = new(asDuration(seconds)); return nil })
		})
	}
	queueCustomer(batch, claim.Customer, &claimed.Customer)
	queueRow(batch, func(on db.DBTX) error {
		_, err := s.queries.MirrorSidesOf(ctx, on, claim.Customer)
		return err
	}, func(row *db.MirrorSidesOfRow) error { claimed.Sides = sidesFrom(row); return nil })
	if err := s.pool.Load().SendBatch(ctx, batch).Close(); err != nil {
		return claimed, mapError("claim run", err)
	}
	if lease.Epoch == 0 {
		if err := lease.rows().markWanted(ctx, s.dbtx, claim.Customer); err != nil {
			return claimed, err
		}
		return claimed, ErrLaneTaken
	}
	lease.deadline = sent.Add(lease.ttl)
	if wait != nil {
		// The grant's moment is the wait after some moment between these two.
		claimed.Grant = &ClaimedGrant{Step: claim.Grant.Step, from: lease.now().Add(*wait), to: sent.Add(*wait + grantLasts)}
	}
	return claimed, nil
}

// AwaitRun is TakeRun for a run that waits for the lane in its slot: it tries again until patience is over, and then returns ErrLaneTaken.
func (s *Store) AwaitRun(ctx context.Context, claim RunClaim, patience time.Duration) (claimed ClaimedRun, err error) {
	err = untilTaken(ctx, patience, func() error {
		claimed, err = s.TakeRun(ctx, claim)
		return err
	})
	return claimed, err
}

// ForgetClaim takes back what a TakeRun without an answer may have done: it frees the lane, and the claim does not count.
func (s *Store) ForgetClaim(ctx context.Context, claimed ClaimedRun, kind string) error {
	lease := claimed.Lease
	err := s.queries.RunUncountClaimOf(ctx, s.dbtx, &db.RunUncountClaimOfParams{CustomerID: lease.Customer, Kind: kind, Holder: lease.holder})
	if err != nil {
		return err
	}
	return lease.Release(ctx)
}

// queueCustomer puts the statement that reads a customer into a batch; known is true after the batch if there is one.
func queueCustomer(batch *pgx.Batch, id string, into *Customer) (known *bool) {
	known = new(false)
	queueRow(batch, func(on db.DBTX) error {
		_, err := direct.New(on).Customer(context.Background(), id)
		return err
	}, func(row *direct.CustomerRow) error {
		*known, *into = true, Customer(*row)
		return nil
	})
	return known
}

// queueRow puts a statement that sqlc wrote into a batch; read is called with its row if it has one.
func queueRow[T any](batch *pgx.Batch, statement func(on db.DBTX) error, read func(row *T) error) {
	queue(batch, statement, func(rows pgx.Rows) error { return optionalRow(rows, pgx.RowToAddrOfStructByPos[T], read) })
}

func optionalRow[T any](rows pgx.Rows, scan pgx.RowToFunc[T], read func(row T) error) error {
	defer rows.Close()
	if !rows.Next() {
		return rows.Err()
	}
	row, err := scan(rows)
	if err != nil {
		return err
	}
	if err := read(row); err != nil {
		return err
	}
	rows.Close()
	return rows.Err()
}
