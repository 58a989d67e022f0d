package main

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
)

func TestHeldLettersSayInTheStatusWhyAndUntilWhen(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.letter(t, "acme", "1", true)
	d.crmSays(http.StatusUnauthorized, "")
	reasons := func() []report.Reason {
		status, err := report.StatusOf(t.Context(), d.store, "acme")
		require.NoError(t, err)
		return status.Health.Reasons
	}

	require.Equal(t, event.AlertDestinationAuthFailed, d.turn(t, "acme", 0, "").reason)

	held := reasons()
	require.Len(t, held, 1)
	require.Equal(t, event.AlertDestinationAuthFailed, held[0].Code)
	require.NotNil(t, held[0].Since)
	require.NotNil(t, held[0].Until)
	require.NotEmpty(t, held[0].Remedy)

	d.crmSays(http.StatusOK, `{"id":"crm"}`)
	d.advance(t, time.Minute)
	d.due(t)
	require.Equal(t, ended{}, d.turn(t, "acme", 1, event.AlertDestinationAuthFailed))
	require.Zero(t, value[int](t, d, `SELECT count(*) FROM letter_holds`))
	require.Empty(t, reasons())
}
