package event_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
)

func TestTheEndOfAConditionSaysWhenItBegan(t *testing.T) {
	t.Parallel()
	s := newFixture(t)
	require.NoError(t, s.raise(t.Context(), event.AlertDestinationDown))
	require.NoError(t, s.clear(t.Context(), event.AlertDestinationDown))
	published := s.outbox(t)
	require.Len(t, published, 2)
	began := body(t, published[0])["raisedAt"]
	require.NotEmpty(t, began)
	require.Equal(t, began, body(t, published[0])["at"])
	require.Equal(t, began, body(t, published[1])["raisedAt"])
	require.NotEqual(t, began, body(t, published[1])["at"])
}
