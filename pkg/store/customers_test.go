package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func (f *fixture) save(t testing.TB, customer store.Customer) (onboardedAt time.Time) {
	t.Helper()
	f.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
		onboardedAt, err = tx.SaveCustomer(ctx, customer)
		return err
	})
	return onboardedAt
}

func customer(id string) store.Customer {
	return store.Customer{ID: id, ExternalSystemURL: "https://crm.example.org", Destination: []byte(`{"kind":"rest"}`), PollCadenceMinutes: 30}
}

func TestTheSameOnboardingTwiceKeepsTheFirstDate(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.save(t, customer("acme"))
	f.advance(t, time.Hour)
	perSecond, perMinute, email := 2.5, 0.0, "it@acme.example"
	changed := customer("acme")
	changed.RequestsPerSecond, changed.RequestsPerMinute, changed.AdminEmail = &perSecond, &perMinute, &email

	require.True(t, first.Equal(f.save(t, changed)))

	stored, err := f.Customer(t.Context(), "acme")
	require.NoError(t, err)
	require.True(t, stored.Enabled)
	require.InDelta(t, 2.5, *stored.RequestsPerSecond, 0)
	require.NotNil(t, stored.RequestsPerMinute, "no limit a minute is not the same as the installation's")
	require.Zero(t, *stored.RequestsPerMinute)
	require.Equal(t, email, *stored.AdminEmail)
	_, err = f.Customer(t.Context(), "globex")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestAnOffboardedCustomerKeepsNoCredentialAndBeginsAnewOnReturn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	first := f.save(t, customer("acme"))
	f.save(t, customer("globex"))
	offboard := func(id string) (known bool) {
		f.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
			known, err = tx.OffboardCustomer(ctx, id)
			return err
		})
		return known
	}
	for _, id := range []string{"acme", "globex"} {
		f.do(t, func(ctx context.Context, tx *store.Tx) error {
			return tx.SaveCredential(ctx, id, store.CredentialVomoToken, []byte("sealed"))
		})
	}
	require.False(t, offboard("unknown"))

	require.True(t, offboard("acme"))

	_, err := f.Credential(t.Context(), "acme", store.CredentialVomoToken)
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = f.Credential(t.Context(), "globex", store.CredentialVomoToken)
	require.NoError(t, err)
	left, err := f.Customer(t.Context(), "acme")
	require.NoError(t, err)
	require.False(t, left.Enabled)
	require.NotNil(t, left.OffboardedAt)

	f.advance(t, time.Hour)
	require.True(t, offboard("acme"), "again")
	again, err := f.Customer(t.Context(), "acme")
	require.NoError(t, err)
	require.True(t, left.OffboardedAt.Equal(*again.OffboardedAt), "the date of leaving stands")
	require.True(t, f.save(t, customer("acme")).Equal(first.Add(time.Hour)))
	back, err := f.Customer(t.Context(), "acme")
	require.NoError(t, err)
	require.True(t, back.Enabled)
	require.Nil(t, back.OffboardedAt)
}

func TestCustomersAreListedPageByPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, id := range []string{"c", "a", "b"} {
		f.save(t, customer(id))
	}
	var seen []string
	after := ""
	for {
		page, err := f.Customers(t.Context(), after, 2)
		require.NoError(t, err)
		if len(page) == 0 {
			break
		}
		for _, listed := range page {
			seen = append(seen, listed.ID)
			after = listed.ID
		}
	}
	require.Equal(t, []string{"a", "b", "c"}, seen)
}

func TestACredentialIsReplacedAndRemoved(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	put := func(sealed []byte) {
		f.do(t, func(ctx context.Context, tx *store.Tx) error {
			return tx.SaveCredential(ctx, "acme", store.CredentialDestinationToken, sealed)
		})
	}
	put([]byte("one"))
	put([]byte("two"))
	sealed, err := f.Credential(t.Context(), "acme", store.CredentialDestinationToken)
	require.NoError(t, err)
	require.Equal(t, []byte("two"), sealed)

	put(nil)

	_, err = f.Credential(t.Context(), "acme", store.CredentialDestinationToken)
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestACheckpointStartsAtTheEpochAndNeverGoesBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, err := f.Checkpoint(t.Context(), "acme", store.ResourceUserSync)
	require.ErrorIs(t, err, store.ErrNotFound)
	start := func(ctx context.Context, tx *store.Tx) error {
		return tx.StartCheckpoint(ctx, "acme", store.ResourceUserSync)
	}
	at := func() time.Time {
		checkpoint, err := f.Checkpoint(t.Context(), "acme", store.ResourceUserSync)
		require.NoError(t, err)
		return checkpoint.UTC()
	}
	f.do(t, start)
	require.Equal(t, time.Unix(0, 0).UTC(), at())

	for _, to := range []int64{1000, 900, 1000} {
		f.do(t, func(ctx context.Context, tx *store.Tx) error {
			return tx.AdvanceCheckpoint(ctx, "acme", store.ResourceUserSync, time.Unix(to, 0))
		})
		require.Equal(t, time.Unix(1000, 0).UTC(), at())
	}
	f.do(t, start)
	require.Equal(t, time.Unix(1000, 0).UTC(), at(), "one that stands is kept")
}

func TestAConditionIsRaisedOnceAndClearedOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	raise := func() (raised bool) {
		f.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
			_, raised, err = tx.RaiseAlert(ctx, "acme", "destination_down", "high")
			return err
		})
		return raised
	}
	cleared := func() (cleared bool) {
		f.do(t, func(ctx context.Context, tx *store.Tx) (err error) {
			_, cleared, err = tx.ClearAlert(ctx, "acme", "destination_down")
			return err
		})
		return cleared
	}
	require.False(t, cleared())
	require.True(t, raise())
	require.False(t, raise())
	standing, err := f.ActiveAlerts(t.Context(), "acme")
	require.NoError(t, err)
	require.Len(t, standing, 1)
	require.Equal(t, "high", standing[0].Severity)

	require.True(t, cleared())
	require.False(t, cleared())
	require.True(t, raise(), "a new one")
}
