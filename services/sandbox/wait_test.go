package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestWaitEndsWithTheRequestThatItHoldsUp(t *testing.T) {
	t.Parallel()
	gone, leave := context.WithCancel(t.Context())
	leave()
	require.ErrorIs(t, wait(gone, time.Hour), context.Canceled)
	require.NoError(t, wait(t.Context(), time.Nanosecond))
}
