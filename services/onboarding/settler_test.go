package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
)

func TestWorkerRejectedForTheOldTokenSwitchesNoCustomerOff(t *testing.T) {
	t.Parallel()
	c := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	c.receiveRequestWithToken(t, 1, "0ld", "")
	lease, err := c.store.TakeLease(t.Context(), "acme", "poller-1", time.Minute)
	require.NoError(t, err)

	c.receiveRequestWithToken(t, 2, "n3w", "") // after the worker's second request was rejected, too

	err = c.store.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error {
		return job.RaiseParkAlert(ctx, tx, "acme", job.Park{Reason: event.AlertAuthFailed})
	})
	require.ErrorIs(t, err, store.ErrLaneLost)
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM sync_configs WHERE enabled`))
	require.Zero(t, c.count(t, `SELECT count(*) FROM alerts`))
	require.Equal(t, 2, c.count(t, `SELECT count(*) FROM onboarding_requests WHERE state = 'applied'`))
}

func TestRequestThatChangesOnlyBatchSizeIsNoDuplicate(t *testing.T) {
	t.Parallel()
	of := func(destination string) store.Customer {
		return store.Customer{Enabled: true, ExternalSystemURL: "https://crm.example.org", Destination: []byte(destination)}
	}
	stands := of(`{"url": "https://crm.example.org", "kind": "rest"}`)
	require.True(t, isSameConfig(stands, of(`{"kind":"rest","url":"https://crm.example.org"}`)), "Postgres formats JSON in its own way")
	require.False(t, isSameConfig(stands, of(`{"kind":"rest","url":"https://crm.example.org","batchSize":15}`)))
	require.False(t, isSameConfig(of(``), of(``)), "an unreadable destination is replaced")
}

// Case postgres/isolation.md: a request whose settling failed with 40001 waited a minute until its claim expired.
func TestRequestThatFailedOnOurSideIsRetriedWithinSeconds(t *testing.T) {
	t.Parallel()
	c := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	c.recordVomoRequests(t)
	c.receiveMessage(t, 1, everySetting)
	c.sql(t, `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001'; END $$`)
	c.sql(t, `CREATE TRIGGER fail BEFORE INSERT ON sync_configs EXECUTE FUNCTION fail()`)
	settleNext := func() {
		var running sync.WaitGroup
		c.settler.claimNext(t.Context(), make(chan struct{}, 1), &running)
		running.Wait()
	}

	settleNext()

	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM onboarding_requests
		WHERE state = 'pending' AND NOT delayed_told AND next_attempt_at <= rollcall_now() + interval '2 seconds'`))
	c.sql(t, `DROP TRIGGER fail ON sync_configs`)
	c.sql(t, `UPDATE onboarding_requests SET next_attempt_at = rollcall_now()`)
	settleNext()
	require.Equal(t, 1, c.count(t, inState+`'`+string(store.RequestApplied)+`'`))
}
