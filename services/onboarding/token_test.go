package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
)

func TestWorkerRejectedForTheOldTokenSwitchesNoCustomerOff(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	c.receivesToken(t, 1, "0ld", "")
	lease, err := c.store.TakeLease(t.Context(), "acme", "poller-1", time.Minute)
	require.NoError(t, err)

	c.receivesToken(t, 2, "n3w", "") // after the worker's second request was refused, too

	err = c.store.InLane(t.Context(), lease, func(ctx context.Context, tx *store.Tx) error {
		return job.TellPark(ctx, tx, "acme", job.Park{Reason: event.AlertAuthFailed})
	})
	require.ErrorIs(t, err, store.ErrLaneLost)
	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM sync_configs WHERE enabled`))
	require.Zero(t, c.count(t, `SELECT count(*) FROM alerts`))
	require.Equal(t, 2, c.count(t, `SELECT count(*) FROM onboarding_requests WHERE state = 'applied'`))
}
