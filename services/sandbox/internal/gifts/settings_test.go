package gifts_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/services/sandbox/internal/faults"
	"rollcall.dev/services/sandbox/internal/gifts"
)

func TestSettingsAndFaultsKnowTheSameShapesOfErrors(t *testing.T) {
	t.Parallel()
	require.Equal(t, faults.ErrorShapes(), gifts.Shapes())
}
