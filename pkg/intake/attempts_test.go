package intake

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

func TestAttemptsThatCannotBeNotedAreKeptUpToALimit(t *testing.T) {
	t.Parallel()
	a := &attempts{}
	for range maxUnnoted + 5 {
		a.addUnnoted(store.MessageAttempt{ID: uuid.New()})
	}
	require.Len(t, a.takeUnnoted(), maxUnnoted)
	require.Empty(t, a.takeUnnoted())
}

func TestStreamIsLookedUpAgainForAMessageThatWasPublishedSince(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)
	lookups := 0
	i := New(nil, nil, func(context.Context, string) (bus.Creation, error) {
		lookups++
		return bus.Creation{At: at.Add(time.Duration(lookups) * time.Second), AsOf: at.Add(time.Duration(lookups) * time.Minute)}, nil
	}, nil)
	for _, c := range []struct {
		published time.Duration
		lookups   int
	}{{0, 1}, {time.Minute - 1, 1}, {time.Minute, 2}, {0, 2}, {90 * time.Second, 2}} {
		created, err := i.createdOf(t.Context(), &worker.Delivery{Published: at.Add(c.published)})
		require.NoError(t, err)
		require.Equal(t, c.lookups, lookups)
		require.Equal(t, at.Add(time.Duration(c.lookups)*time.Second), created)
	}
}
