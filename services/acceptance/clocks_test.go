package acceptance_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// setVomoClock sets the sandbox's clock that many seconds ahead of the real one.
func (f *fixture) setVomoClock(ahead int) {
	f.t.Helper()
	f.control(http.MethodPut, "/control/clock", map[string]any{"offsetSeconds": ahead}, nil)
}

// awaitPoll requests polls until one that began after this call has completed. NATS rejects a request while the request of
// the previous poll is in the stream.
func (f *fixture) awaitPoll(customer string) {
	f.t.Helper()
	before := f.polls(customer)
	f.await(soon, "a poll has come to its end", func() bool {
		if f.polls(customer) > before {
			return true
		}
		f.poll(customer)
		return false
	})
	f.afterPolls(soon)
}

// differing returns the fields in which each user's record differs from the user, by the record's id.
func (f *fixture) differing(customer string) map[string][]string {
	f.t.Helper()
	var result struct {
		Missing     int
		Differences []struct {
			ExternalID string
			Fields     []string
		}
	}
	f.control(http.MethodGet, "/control/compare?org="+customer+"&tenant="+customer, nil, &result)
	require.Zero(f.t, result.Missing)
	differing := map[string][]string{}
	for _, user := range result.Differences {
		differing[user.ExternalID] = user.Fields
	}
	return differing
}

// The case testdata/cases/vomo/clock-ahead.md.
func TestEditsArriveAfterVOMOsClockWasAhead(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 40)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.start(programPoller)
	f.onboard("acme")
	f.awaitState("acme", "completed", longest)
	f.afterPolls(soon)
	users := f.activeUsersWithEmail("acme")
	edit := func(name string, of ...int) {
		edits := []map[string]any{}
		for _, i := range of {
			edits = append(edits, map[string]any{"id": users[i].ID, "first_name": name})
		}
		f.batch("acme", map[string]any{"edits": edits})
	}

	f.setVomoClock(3 * 3600)
	edit("Ahead", 3, 4)
	f.awaitPoll("acme")
	require.Empty(t, f.differing("acme"))

	f.setVomoClock(0)
	edit("Right again", 4, 8)
	f.awaitPoll("acme")
	// The destination answers "stale" to an earlier source_updated_at than it has: user 4 keeps the time of the previous edit.
	require.Equal(t, map[string][]string{"vomo-" + users[4].ID.String(): {"source_updated_at"}}, f.differing("acme"))

	edit("And again", 4, 8)
	f.awaitPoll("acme")
	require.Equal(t, map[string][]string{"vomo-" + users[4].ID.String(): {"source_updated_at"}}, f.differing("acme"))
	require.Zero(t, f.count(`SELECT count(*) FROM dead_letters`))
}
