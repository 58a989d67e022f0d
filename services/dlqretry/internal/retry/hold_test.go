package retry

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/round"
)

func TestStatusShowsHoldOfLetters(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.letter(t, "acme", "1", true)
	f.crmSays(http.StatusUnauthorized, "")
	reasons := func() []report.Reason {
		status, err := report.StatusOf(t.Context(), f.store, "acme")
		require.NoError(t, err)
		return status.Health.Reasons
	}

	require.Equal(t, event.AlertDestinationAuthFailed, f.round(t, "acme", 0, "").Reason)

	held := reasons()
	require.Len(t, held, 1)
	require.Equal(t, event.AlertDestinationAuthFailed, held[0].Code)
	require.NotNil(t, held[0].Since)
	require.NotNil(t, held[0].Until)
	require.NotEmpty(t, held[0].Remedy)

	f.crmSays(http.StatusOK, `{"id":"crm"}`)
	f.advance(t, time.Minute)
	f.due(t)
	require.Equal(t, round.End{}, f.round(t, "acme", 1, event.AlertDestinationAuthFailed))
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM letter_holds`))
	require.Empty(t, reasons())
}
