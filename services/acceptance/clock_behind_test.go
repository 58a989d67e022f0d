package acceptance_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// The case testdata/cases/vomo/clock-behind.md: the Date of VOMO's responses is right, and each updated_at is two hours behind.
func TestPollsReachBackWhileVOMOsTimestampsLag(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.advance(0)
	f.organisation("acme", 40)
	for _, program := range []string{programOnboarding, programBackfill, programPoller, programReconciler, programNotifier} {
		f.start(program)
	}
	f.onboard("acme")
	f.awaitState("acme", "completed", longest)
	f.afterPolls(soon)
	users := f.activeUsersWithEmail("acme")
	edit := func(name string, lag time.Duration, of ...int) {
		var clock struct{ Now time.Time }
		f.control(http.MethodGet, "/control/clock", nil, &clock)
		for _, i := range of {
			f.control(http.MethodPut, "/control/orgs/acme/users/"+users[i].ID.String(),
				map[string]any{"first_name": name, "updated_at": clock.Now.Add(-lag).Format(time.RFC3339)}, nil)
		}
	}
	reason := func() string {
		for _, one := range f.status("acme").Health.Reasons {
			if one.Code == "vomo_stamps_lag" {
				require.NotEmpty(t, one.Remedy)
				require.False(t, one.Unhealthy)
				return one.Text
			}
		}
		return ""
	}

	edit("Late", 2*time.Hour, 1, 2, 3)
	f.awaitPoll("acme")
	require.Len(t, f.differing("acme"), 3, "polls ask from an hour ago at the latest")
	require.Empty(t, reason())

	f.publish(bus.SubjectReconcile(bus.CategoryUserDaily, "acme"), []byte(`{"customerId":"acme"}`))
	f.await(soon, "the reconciliation brings them", func() bool {
		return f.count(`SELECT count(*) FROM reconciliation_runs WHERE gap_count = 3`) == 1
	})
	require.Empty(t, f.differing("acme"))
	require.Contains(t, reason(), "up to 2 h")

	edit("Late again", 2*time.Hour, 4)
	f.awaitPoll("acme")
	require.Empty(t, f.differing("acme"), "the next poll brings it")
	require.Contains(t, reason(), "up to 2 h")
	require.Equal(t, 1, f.count(`SELECT count(*) FROM sync_configs WHERE stamp_lag_minutes BETWEEN 120 AND 125`))

	// VOMO's clock is corrected, and the next change a day later shows it.
	const reconciled = `SELECT count(*) FROM reconciliation_runs`
	before := f.count(reconciled)
	f.awaitNight()
	f.advance(25 * time.Hour)
	f.await(soon, "the daily reconciliation has passed: it would bring the change before a poll does", func() bool { return f.count(reconciled) > before })
	edit("On time", 0, 5)
	f.awaitPoll("acme")
	require.Empty(t, f.differing("acme"))
	require.Empty(t, reason())
	require.Equal(t, 1, f.count(`SELECT count(*) FROM sync_configs WHERE stamp_lag_minutes IS NULL`))
}
