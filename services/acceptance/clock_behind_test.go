package acceptance_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// The case testdata/cases/vomo/clock-behind.md: the Date of VOMO's answers is right, and each updated_at two hours behind.
func TestPollsReachBackWhileVOMOsStampsLag(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.ahead(0)
	h.organisation("acme", 40)
	for _, program := range []string{programOnboarding, programBackfill, programPoller, programReconciler, programNotifier} {
		h.start(program)
	}
	h.onboard("acme")
	h.untilState("acme", "completed", longest)
	h.afterPolls(soon)
	users := h.aliveWithEmail("acme")
	edit := func(name string, lag time.Duration, of ...int) {
		var clock struct{ Now time.Time }
		h.control(http.MethodGet, "/control/clock", nil, &clock)
		for _, i := range of {
			h.control(http.MethodPut, "/control/orgs/acme/users/"+users[i].ID.String(),
				map[string]any{"first_name": name, "updated_at": clock.Now.Add(-lag).Format(time.RFC3339)}, nil)
		}
	}
	reason := func() string {
		for _, one := range h.status("acme").Health.Reasons {
			if one.Code == "vomo_stamps_lag" {
				require.NotEmpty(t, one.Remedy)
				require.False(t, one.Unhealthy)
				return one.Text
			}
		}
		return ""
	}

	edit("Late", 2*time.Hour, 1, 2, 3)
	h.polled("acme")
	require.Len(t, h.differing("acme"), 3, "polls ask from an hour ago at the latest")
	require.Empty(t, reason())

	h.publish(bus.SubjectReconcile(bus.CategoryUserDaily, "acme"), []byte(`{"customerId":"acme"}`))
	h.until(soon, "the reconciliation brings them", func() bool {
		return h.count(`SELECT count(*) FROM reconciliation_runs WHERE gap_count = 3`) == 1
	})
	require.Empty(t, h.differing("acme"))
	require.Contains(t, reason(), "up to 2 h")

	edit("Late again", 2*time.Hour, 4)
	h.polled("acme")
	require.Empty(t, h.differing("acme"), "the next poll brings it")
	require.Contains(t, reason(), "up to 2 h")
	require.Equal(t, 1, h.count(`SELECT count(*) FROM sync_configs WHERE stamp_lag_minutes BETWEEN 120 AND 125`))

	// VOMO's clock is set right, and a day later the next change shows it.
	h.ahead(25 * time.Hour)
	edit("On time", 0, 5)
	h.polled("acme")
	require.Empty(t, h.differing("acme"))
	require.Empty(t, reason())
	require.Equal(t, 1, h.count(`SELECT count(*) FROM sync_configs WHERE stamp_lag_minutes IS NULL`))
}
