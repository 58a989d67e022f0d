package state_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/services/sandbox/internal/crm"
	"rollcall.dev/services/sandbox/internal/gifts"
	"rollcall.dev/services/sandbox/internal/state"
	"rollcall.dev/services/sandbox/internal/vomo"
)

var errStopped = errors.New("stopped")

func TestSnapshotsTakeATenthOfTheTimeAtMost(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	var pauses []time.Duration
	done := make(chan struct{})
	file := state.File{
		Path: filepath.Join(t.TempDir(), "state.json"), Organisations: vomo.NewDirectory(), Records: crm.NewStore(), Virtuous: gifts.NewDirectory(),
		NowFunc: func() time.Time { now = now.Add(3 * time.Second); return now }, // each snapshot takes 3 s
		WaitFunc: func(_ context.Context, pause time.Duration) error {
			pauses = append(pauses, pause)
			if len(pauses) == 3 {
				close(done)
				return errStopped
			}
			return nil
		},
		Log: zap.NewNop(),
	}
	require.NoError(t, file.While(t.Context(), func(context.Context) error { <-done; return nil }))
	require.Equal(t, []time.Duration{state.Pause, 27 * time.Second, 27 * time.Second}, pauses)
}
