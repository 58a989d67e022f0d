package acceptance_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// vomosClock sets the sandbox's clock that many seconds ahead of the real one.
func (h *house) vomosClock(ahead int) {
	h.t.Helper()
	h.control(http.MethodPut, "/control/clock", map[string]any{"offsetSeconds": ahead}, nil)
}

// polled asks for polls until one that began after this call has come to its end: a request is refused while that of the
// poll before stands in the stream.
func (h *house) polled(customer string) {
	h.t.Helper()
	before := h.polls(customer)
	h.until(soon, "a poll has come to its end", func() bool {
		if h.polls(customer) > before {
			return true
		}
		h.poll(customer)
		return false
	})
	h.afterPolls(soon)
}

// differing are the fields in which each user's record differs from the user, by the record's id.
func (h *house) differing(customer string) map[string][]string {
	h.t.Helper()
	var result struct {
		Missing     int
		Differences []struct {
			ExternalID string
			Fields     []string
		}
	}
	h.control(http.MethodGet, "/control/compare?org="+customer+"&tenant="+customer, nil, &result)
	require.Zero(h.t, result.Missing)
	differing := map[string][]string{}
	for _, user := range result.Differences {
		differing[user.ExternalID] = user.Fields
	}
	return differing
}

// The case testdata/cases/vomo/clock-ahead.md.
func TestEditsArriveAfterVOMOsClockWasAheadAndIsRightAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 40)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.start(programPoller)
	h.onboard("acme")
	h.untilState("acme", "completed", longest)
	h.afterPolls(soon)
	users := h.aliveWithEmail("acme")
	edit := func(name string, of ...int) {
		edits := []map[string]any{}
		for _, i := range of {
			edits = append(edits, map[string]any{"id": users[i].ID, "first_name": name})
		}
		h.batch("acme", map[string]any{"edits": edits})
	}

	h.vomosClock(3 * 3600)
	edit("Ahead", 3, 4)
	h.polled("acme")
	require.Empty(t, h.differing("acme"))

	h.vomosClock(0)
	edit("Right again", 4, 8)
	h.polled("acme")
	// The destination refuses an earlier source_updated_at than it has as stale: user 4 keeps the one of the edit before.
	require.Equal(t, map[string][]string{"vomo-" + users[4].ID.String(): {"source_updated_at"}}, h.differing("acme"))

	edit("And again", 4, 8)
	h.polled("acme")
	require.Equal(t, map[string][]string{"vomo-" + users[4].ID.String(): {"source_updated_at"}}, h.differing("acme"))
	require.Zero(t, h.count(`SELECT count(*) FROM dead_letters`))
}
