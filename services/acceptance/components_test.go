package acceptance_test

import (
	"maps"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// Each service does its work while all others are down: a failure of one does not stop the others.
func TestEachServiceWorksWhileTheOthersAreDown(t *testing.T) {
	t.Parallel()
	settings := map[string]string{"CLAIM_TIMEOUT": claimTimeout.String()} // a service that is killed may have the lane
	maps.Copy(settings, fast)
	f := newFixture(t, settings)
	const users, first = 60, 1001
	f.organisation("acme", users)
	alone := func(program, what string, done func() bool) {
		t.Helper()
		process := f.start(program)
		f.await(longest, what, done)
		process.Kill()
	}
	edit := func(name string) {
		edits := []map[string]any{}
		for id := first; id < first+20; id++ {
			edits = append(edits, map[string]any{"id": id, "last_name": name})
		}
		f.batch("acme", map[string]any{"edits": edits})
	}
	letterIs := func(state string) bool {
		return f.count(`SELECT count(*) FROM dead_letters WHERE kind = 'user' AND state = $1`, state) == 1
	}

	f.onboard("acme")
	alone(programOnboarding, "the customer is onboarded, and its backfill requested", func() bool {
		return f.count(`SELECT count(*) FROM sync_configs`) == 1 && f.subjects(bus.StreamBackfill, ">") == 1
	})
	alone(programBackfill, "the backfill is complete", func() bool {
		return f.count(`SELECT count(*) FROM sync_configs WHERE backfill_completed_at IS NOT NULL`) == 1
	})
	require.Equal(t, users, f.compare("acme").Same)

	f.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "crm", "tenant": "acme", "kind": "status", "status": 503, "records": []string{"vomo-1007"}, "count": 3,
	}, nil)
	edit("Polled")
	f.requestPoll("acme")
	alone(programPoller, "the poll has written all users but one, which has a letter", func() bool { return f.polls("acme") > 0 && letterIs("waiting") })
	require.Equal(t, users-1, f.compare("acme").Same)
	alone(programDLQRetry, "the letter is retried", func() bool { return letterIs("settled") })
	require.Equal(t, users, f.compare("acme").Same)

	edit("Reconciled")
	f.publish(bus.SubjectReconcile(bus.CategoryUserDaily, "acme"), map[string]any{"customerId": "acme"})
	alone(programReconciler, "the reconciliation has read what no poll has", func() bool {
		return f.count(`SELECT count(*) FROM reconciliation_runs WHERE type = 'user_daily'`) == 1
	})
	require.Equal(t, comparison{Source: users, Destination: users, Same: users}, f.compare("acme"))
}
