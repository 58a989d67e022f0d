package clock

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestDateOfAnAnswerIncludesItsDurationAndNoMoveOfTheClock(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	clock := New(func() time.Time { return now })
	require.NoError(t, clock.Set(60))
	answer := httptest.NewRecorder()
	Dated(clock, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		now = now.Add(5 * time.Second)
		if err := clock.Advance(3600); err != nil {
			t.Error(err)
		}
		w.WriteHeader(http.StatusNoContent)
	})).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody))
	require.Equal(t, "Fri, 20 Nov 2026 12:01:05 GMT", answer.Header().Get("Date"))
}
