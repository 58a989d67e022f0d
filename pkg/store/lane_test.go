package store_test

import (
	"context"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

// aPage is the work of a page's transaction: one row of each kind that a page writes.
func aPage(customer string) func(context.Context, *store.Tx) error {
	return func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(
			tx.SaveMappings(ctx, customer, []store.Mapping{{VomoID: "1", ExternalID: "x", Version: store.Version{UpdatedAt: time.Unix(1, 0), Hash: []byte("h")}}}),
			tx.SaveAudit(ctx, store.AuditScope{Customer: customer}, []store.AuditEntry{{RecordID: "1", UpdatedAt: time.Unix(1, 0)}}),
			tx.Publish(ctx, store.Message{Subject: "s", ID: "m", Payload: []byte("{}")}),
		)
	}
}

// rows is how many rows pages have left.
func rows(t *testing.T, f *fixture) int {
	t.Helper()
	return value[int](t, f, `SELECT (SELECT count(*) FROM user_mappings) + (SELECT count(*) FROM sync_audit) + (SELECT count(*) FROM outbox)`)
}

func TestAHolderCommitsItsPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)

	require.NoError(t, f.InLane(t.Context(), f.lease(t, "acme"), aPage("acme")))

	require.Equal(t, 3, rows(t, f))
}

func TestAHolderWhoseLaneAnotherTookCommitsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	slept := f.lease(t, "acme")
	f.advance(t, 31*time.Second)
	present := f.lease(t, "acme")

	require.ErrorIs(t, f.InLane(t.Context(), slept, aPage("acme")), store.ErrLaneLost)

	require.Zero(t, rows(t, f))
	require.ErrorIs(t, slept.Outlasts(0), store.ErrLaneLost, "and it sends nothing more")
	require.NoError(t, f.InLane(t.Context(), present, aPage("acme")))
}

func TestAHolderWhoseLeaseMerelyRanOutCommitsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")
	f.advance(t, 30*time.Second)

	require.ErrorIs(t, f.InLane(t.Context(), lease, aPage("acme")), store.ErrLaneLost)

	require.Zero(t, rows(t, f))
}

func TestAFencedHolderCommitsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")
	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.FenceLane(ctx, "acme") })

	require.ErrorIs(t, f.InLane(t.Context(), lease, aPage("acme")), store.ErrLaneLost)

	require.Zero(t, rows(t, f))
}

func TestAPageRenewsTheLease(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")
	f.advance(t, 20*time.Second)
	require.NoError(t, f.InLane(t.Context(), lease, aPage("acme")))
	f.advance(t, 20*time.Second)

	_, err := f.TakeLease(t.Context(), "acme", "another", 30*time.Second)

	require.ErrorIs(t, err, store.ErrLaneTaken)
}

func TestAPageThatFailsLeavesNothingAndTheLaneWithItsHolder(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")
	broken := errors.New("broken")

	err := f.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(aPage("acme")(ctx, tx), broken)
	})

	require.ErrorIs(t, err, broken)
	require.NotErrorIs(t, err, store.ErrLaneLost)
	require.Zero(t, rows(t, f))
	require.NoError(t, f.InLane(t.Context(), lease, aPage("acme")))
}

// The lease's row is locked from the assertion to the commit, so no second holder can begin in between.
func TestLaneIsNotTakenWhileAPageIsCommitted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	slow := f.lease(t, "acme")
	taken := make(chan *store.Lease, 1)

	err := f.InLane(t.Context(), slow, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.Now(ctx); err != nil { // whose answer needs the assertion's
			return err
		}
		f.advance(t, time.Minute) // the lease has run out, and the page is not committed yet
		go func() {
			lease, err := f.TakeLease(t.Context(), "acme", "another", 30*time.Second)
			if err != nil {
				t.Errorf("take lease: %v", err)
			}
			taken <- lease
		}()
		f.untilBlocked(t, 1)
		return aPage("acme")(ctx, tx)
	})

	require.NoError(t, err)
	require.Greater(t, (<-taken).Epoch, slow.Epoch)
	require.Equal(t, 3, rows(t, f))
	require.ErrorIs(t, f.InLane(t.Context(), slow, aPage("acme")), store.ErrLaneLost)
}

func TestAPageOfAForeignLaneIsRefusedAtItsFirstAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	slept := f.lease(t, "acme")
	f.advance(t, time.Minute)
	f.lease(t, "acme")

	err := f.InLane(t.Context(), slept, func(ctx context.Context, tx *store.Tx) error {
		line := []store.AuditEntry{{RecordID: "1", UpdatedAt: time.Unix(1, 0)}}
		require.NoError(t, tx.SaveAudit(ctx, store.AuditScope{Customer: "acme"}, line), "nothing to wait for")
		_, err := tx.Now(ctx)
		require.ErrorIs(t, err, store.ErrLaneLost)
		return nil // overlooked
	})

	require.ErrorIs(t, err, store.ErrLaneLost)
	require.Zero(t, rows(t, f))
}

func TestFailureOfADeferredStatementIsNotLost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")
	nul := []store.AuditEntry{{RecordID: "a\x00b", UpdatedAt: time.Unix(1, 0)}} // no text of Postgres

	err := f.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error {
		return errors.Join(aPage("acme")(ctx, tx), tx.SaveAudit(ctx, store.AuditScope{Customer: "acme"}, nul))
	}) // the audit's failure comes with the commit

	require.ErrorContains(t, err, "query AuditInsertMany: ")
	require.Zero(t, rows(t, f))
	require.NoError(t, f.InLane(t.Context(), lease, aPage("acme")), "the connection is as good as new")
}

// An answer that forbids the rest is no error to Postgres, which would go on to the commit.
func TestAPageOfAForeignLaneThatNeedsNoAnswerIsRefusedToo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	lease := f.lease(t, "acme")
	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.FenceLane(ctx, "acme") })

	err := f.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error {
		return tx.SaveMappings(ctx, "acme", []store.Mapping{{VomoID: "1", ExternalID: "x", Version: store.Version{UpdatedAt: time.Unix(1, 0), Hash: []byte("h")}}})
	})

	require.ErrorIs(t, err, store.ErrLaneLost)
	require.Zero(t, rows(t, f))
}

func TestCommitIsSentBeforePostgresHasCarriedItOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	sent, committed := testkit.NewSignal[string](), make(chan error, 1)
	line := []store.AuditEntry{{RecordID: "1", UpdatedAt: time.Unix(1, 0)}}
	f.do(t, func(ctx context.Context, tx *store.Tx) error { // prepares the statement, which the lock would keep waiting
		return tx.SaveAudit(ctx, store.AuditScope{Customer: "acme"}, line)
	})
	f.exec(t, `BEGIN`)
	f.exec(t, `LOCK TABLE sync_audit IN EXCLUSIVE MODE`)
	go func() {
		committed <- f.InPipelinedTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
			tx.WhenCommitSent(func() { sent.Send("commit") })
			_, err := tx.Now(ctx) // sends what comes before it, and not the commit
			sent.Send("statement")
			return errors.Join(err, tx.SaveAudit(ctx, store.AuditScope{Customer: "acme"}, line))
		})
	}()

	sent.Require(t, 15*time.Second, "statement")
	sent.Require(t, 15*time.Second, "commit")

	require.Empty(t, committed, "the table is locked")
	f.exec(t, `ROLLBACK`)
	require.NoError(t, <-committed)
	require.Equal(t, 2, value[int](t, f, `SELECT count(*) FROM sync_audit`))
}

// The sockets of a process that is killed are closed, and nothing else happens.
func TestCommitThatWasSentIsCarriedOutAfterItsProcessWasKilled(t *testing.T) {
	t.Parallel()
	line := []store.AuditEntry{{RecordID: "1", UpdatedAt: time.Unix(1, 0)}}
	saveLine := func(ctx context.Context, tx *store.Tx) error {
		return tx.SaveAudit(ctx, store.AuditScope{Customer: "acme"}, line)
	}
	for name, before := range map[string]func(context.Context, *store.Tx) error{
		"all sent at once": func(context.Context, *store.Tx) error { return nil },
		"begun before": func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.Now(ctx)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			killed := atomic.Bool{}
			sockets := make(chan net.Conn, 16)
			require.NoError(t, f.SetDial(t.Context(), func(ctx context.Context, network, address string) (net.Conn, error) {
				if killed.Load() {
					return nil, errors.New("the process is dead") // pgx would ask Postgres to cancel the statement
				}
				conn, err := new(net.Dialer).DialContext(ctx, network, address)
				sockets <- conn
				return conn, err
			}))
			require.NoError(t, f.InPipelinedTx(t.Context(), saveLine)) // prepares the statement, which the lock would keep waiting
			f.exec(t, `BEGIN`)
			f.exec(t, `LOCK TABLE sync_audit IN EXCLUSIVE MODE`)

			err := f.InPipelinedTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
				tx.WhenCommitSent(func() {
					killed.Store(true)
					for len(sockets) > 0 {
						require.NoError(t, (<-sockets).Close())
					}
				})
				return errors.Join(before(ctx, tx), saveLine(ctx, tx))
			})

			require.Error(t, err, "the answer was not read")
			require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM sync_audit`))
			f.exec(t, `ROLLBACK`)
			require.Eventually(t, func() bool { return value[int](t, f, `SELECT count(*) FROM sync_audit`) == 2 }, 15*time.Second, 10*time.Millisecond)
		})
	}
}

func TestNoCommitIsSentIfTheContextIsOverBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	require.ErrorIs(t, f.InPipelinedTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		tx.WhenCommitSent(func() { t.Error("the commit was sent") })
		defer cancel()
		return tx.SaveAudit(ctx, store.AuditScope{Customer: "acme"}, []store.AuditEntry{{RecordID: "1", UpdatedAt: time.Unix(1, 0)}})
	}), context.Canceled)
	require.Zero(t, rows(t, f))
}

func TestNoCommitIsSentOfWorkThatFailed(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	failed := errors.New("failed")
	require.ErrorIs(t, f.InPipelinedTx(t.Context(), func(_ context.Context, tx *store.Tx) error {
		tx.WhenCommitSent(func() { t.Error("the commit was sent") })
		return failed
	}), failed)
}
