package store_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// origin is the message of that sequence in the first stream.
func origin(sequence uint64) store.Origin {
	return store.Origin{StreamCreated: time.Date(2026, time.March, 1, 0, 0, 0, 123456789, time.UTC), Sequence: sequence}
}

func (f *fixture) pending(t testing.TB, from store.Origin, customer string) (id int64, added bool) {
	t.Helper()
	f.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
		id, added, err = tx.AddPendingRequest(ctx, from, customer, store.Sides{Mirror: true}, []byte(`{"customerId":"`+customer+`"}`), []byte("sealed"))
		return err
	})
	return id, added
}

func (f *fixture) settle(t testing.TB, id int64, state store.RequestState, errs []byte) (settled bool) {
	t.Helper()
	f.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
		settled, err = tx.SettleRequest(ctx, id, state, errs)
		return err
	})
	return settled
}

func (f *fixture) outcome(t testing.TB, of store.Origin) store.RequestOutcome {
	t.Helper()
	outcome, err := f.RequestOutcome(t.Context(), of)
	require.NoError(t, err)
	return outcome
}

func TestAMessageIsOneRequestHoweverOftenItIsDelivered(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, added := f.pending(t, origin(1), "acme")
	require.True(t, added)
	_, added = f.pending(t, origin(1), "acme")
	require.False(t, added, "a redelivery")

	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		added, err := tx.AddRejectedRequest(ctx, origin(1), "acme", []byte(`{}`))
		require.False(t, added, "nor is it rejected after it was accepted")
		return err
	})
	recreated := store.Origin{StreamCreated: origin(1).StreamCreated.Add(time.Hour), Sequence: 1}
	_, added = f.pending(t, recreated, "acme")
	require.True(t, added, "sequences start again in a new stream")
	_, err := f.RequestOutcome(t.Context(), origin(99))
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestTheNewestRequestOfACustomerIsHandedOutFirst(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	older, _ := f.pending(t, origin(1), "acme")
	f.advance(t, time.Second)
	newer, _ := f.pending(t, origin(2), "acme")

	claimed, err := f.ClaimDueRequest(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Equal(t, newer, claimed.ID)
	require.Equal(t, uint64(2), claimed.Origin.Sequence)
	require.Equal(t, []byte("sealed"), claimed.SealedSecrets)
	require.JSONEq(t, `{"customerId":"acme"}`, string(claimed.Request))
	_, err = f.ClaimDueRequest(t.Context(), time.Minute)
	require.ErrorIs(t, err, store.ErrNotFound, "the older one waits for what becomes of the newer")

	require.True(t, f.settle(t, newer, store.RequestRejected, []byte(`{"vomoToken":["refused"]}`)))
	claimed, err = f.ClaimDueRequest(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Equal(t, older, claimed.ID)
}

func TestTheRequestOfAYoungerStreamIsTheNewer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.pending(t, origin(900), "acme")
	recreated, _ := f.pending(t, store.Origin{StreamCreated: origin(1).StreamCreated.Add(time.Hour), Sequence: 1}, "acme")

	claimed, err := f.ClaimDueRequest(t.Context(), time.Minute)

	require.NoError(t, err)
	require.Equal(t, recreated, claimed.ID)
}

func TestWhatIsAppliedSupersedesWhatWasAskedBefore(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.pending(t, origin(1), "acme")
	applied, _ := f.pending(t, origin(2), "acme")
	f.pending(t, origin(3), "acme")
	f.pending(t, origin(4), "globex")
	f.settle(t, applied, store.RequestApplied, nil)

	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		for sequence, later := range map[uint64]store.Sides{1: {Mirror: true}, 2: {}, 3: {}} {
			after, err := tx.RequestAppliedAfter(ctx, "acme", origin(sequence))
			require.NoError(t, err)
			require.Equal(t, later, after, "sequence %d", sequence)
		}
		return tx.SupersedeOlderRequests(ctx, "acme", store.Sides{Mirror: true}, origin(2))
	})

	require.Equal(t, store.RequestSuperseded, f.outcome(t, origin(1)).State)
	require.Equal(t, store.RequestApplied, f.outcome(t, origin(2)).State)
	require.Equal(t, store.RequestPending, f.outcome(t, origin(3)).State)
	require.Equal(t, store.RequestPending, f.outcome(t, origin(4)).State)

	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.SupersedeAllRequests(ctx, "acme") })
	require.Equal(t, store.RequestSuperseded, f.outcome(t, origin(3)).State)
	require.Equal(t, store.RequestPending, f.outcome(t, origin(4)).State, "another customer's")
}

func TestASettledRequestKeepsNoSecretAndIsSettledOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	rejected, _ := f.pending(t, origin(1), "acme")
	f.pending(t, origin(2), "globex")
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.AddRejectedRequest(ctx, origin(3), "initech", []byte(`{"body":["is not a JSON object"]}`))
		return err
	})

	require.True(t, f.settle(t, rejected, store.RequestRejected, []byte(`{"vomoToken":["refused"]}`)))
	require.False(t, f.settle(t, rejected, store.RequestApplied, nil))
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		delayed, err := tx.DelayRequest(ctx, rejected, time.Minute)
		require.False(t, delayed)
		return err
	})
	f.do(t, func(ctx context.Context, tx *store.Tx) error { return tx.SupersedeAllRequests(ctx, "globex") })

	require.Zero(t, value[int](t, f, `SELECT count(*) FROM onboarding_requests WHERE sealed_secrets IS NOT NULL`))
	outcome := f.outcome(t, origin(1))
	require.Equal(t, store.RequestRejected, outcome.State)
	require.JSONEq(t, `{"vomoToken":["refused"]}`, string(outcome.Errors))
	require.NotNil(t, outcome.SettledAt)
	require.Equal(t, store.RequestRejected, f.outcome(t, origin(3)).State)
	_, err := f.ClaimDueRequest(t.Context(), time.Minute)
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestAClaimedRequestIsHeldAndComesBackWhenItsWorkerDies(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id, _ := f.pending(t, origin(1), "acme")
	_, err := f.ClaimDueRequest(t.Context(), time.Minute)
	require.NoError(t, err)

	f.advance(t, time.Minute-time.Microsecond)
	_, err = f.ClaimDueRequest(t.Context(), time.Minute)
	require.ErrorIs(t, err, store.ErrNotFound)
	f.advance(t, time.Microsecond)
	again, err := f.ClaimDueRequest(t.Context(), time.Minute)
	require.NoError(t, err)
	require.Equal(t, id, again.ID)
	require.Equal(t, 2, again.Attempts)
}

func TestADelayedRequestIsDueAgainAfterItsDelay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	id, _ := f.pending(t, origin(1), "acme")
	first, err := f.ClaimDueRequest(t.Context(), time.Minute)
	require.NoError(t, err)
	require.False(t, first.DelayNotified)

	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		delayed, err := tx.DelayRequest(ctx, id, 5*time.Minute)
		require.True(t, delayed)
		return err
	})

	f.advance(t, 2*time.Minute)
	_, err = f.ClaimDueRequest(t.Context(), time.Minute)
	require.ErrorIs(t, err, store.ErrNotFound)
	f.advance(t, 3*time.Minute)
	again, err := f.ClaimDueRequest(t.Context(), time.Minute)
	require.NoError(t, err)
	require.True(t, again.DelayNotified, "the customer is notified once")
}

func TestOfClaimersAtOnceEachRequestGoesToOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const customers = 24
	for i := range customers {
		f.pending(t, origin(uint64(i)+1), "c"+strconv.Itoa(i))
	}
	var mu sync.Mutex
	claims := map[string]int{}

	atOnce(6, func(int) {
		for {
			claimed, err := f.ClaimDueRequest(t.Context(), time.Minute)
			if err != nil {
				if !errors.Is(err, store.ErrNotFound) {
					t.Errorf("claim: %v", err)
				}
				return
			}
			mu.Lock()
			claims[claimed.Customer]++
			mu.Unlock()
		}
	})

	require.Len(t, claims, customers)
	for customer, times := range claims {
		require.Equal(t, 1, times, customer)
	}
}
