package intake

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
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
