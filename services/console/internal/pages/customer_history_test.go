package pages

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/services/console/internal/access"
)

func TestCustomerPageShowsPeopleByDayFromZeroAndAsFigures(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	_, body := f.get("/customers/acme")
	require.NotContains(t, body, "people-title", "before the first night there is nothing to show")
	f.exec(`INSERT INTO customer_daily_counts VALUES ('acme', '2026-02-27', 1000), ('acme', '2026-03-01', 2000),
		('acme', '2025-12-02', 7), ('globex', '2026-03-01', 9)`)

	_, body = f.get("/customers/acme")

	main := mainOf(body)
	require.Contains(t, main, "2,000 people on 2026-03-01: 1,000 more than on 2026-02-27.")
	require.Contains(t, main, "from 0 to 2,000")
	require.Contains(t, main, `<rect x="0" y="20.0" width="3" height="20.0">`)
	require.Contains(t, main, `<rect x="8" y="0.0" width="3" height="40.0">`, "two days later: the day between was not counted")
	require.Contains(t, main, `<th scope="row">2026-02-27</th><td class="num">1,000</td>`)
	require.NotContains(t, main, "2025-12-02", "it is older than the days that are shown")
}

func TestPeopleOfNoneAndOfOneDayHaveWords(t *testing.T) {
	t.Parallel()
	day := store.DailyCount{Day: time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)}
	require.Equal(t, "0 people on 2026-03-01.", peopleWords([]store.DailyCount{day}))
	require.Equal(t, "0.0", peopleBars([]store.DailyCount{day})[0].Height)
	before := store.DailyCount{Day: day.Day.AddDate(0, 0, -1), Mirrored: 1}
	require.Equal(t, "0 people on 2026-03-01: 1 fewer than on 2026-02-28.", peopleWords([]store.DailyCount{before, day}))
	require.Equal(t, "0 people on 2026-03-01: as many as on 2026-03-01.", peopleWords([]store.DailyCount{day, day}))
}

func TestCustomerPageShowsItsNewestChangesWithLinks(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	_, body := f.get("/customers/acme")
	require.Contains(t, body, "Nothing was written yet.")
	f.exec(`INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, succeeded, error_code, processed_at)
		SELECT 'acme', 'user', n::text, 'update', n > 1, CASE WHEN n = 1 THEN 'http_422' END, timestamptz '2026-03-02 09:00Z' - n * interval '1 day'
		FROM generate_series(1, 25) n`)
	f.exec(`INSERT INTO sync_audit (customer_id, resource_type, record_id, operation, succeeded, processed_at) VALUES
		('acme', 'message', $1, 'dlq_discard', true, '2026-03-02 09:01Z'), ('globex', 'user', '4711', 'update', true, '2026-03-02 09:02Z')`, foundLetter)

	status, body := f.get("/customers/acme")

	require.Equal(t, http.StatusOK, status)
	main := mainOf(body)
	require.Contains(t, main, `href="/letters/`+foundLetter+`"`)
	require.Contains(t, main, `href="/record?customer=acme&amp;id=1&amp;kind=user"`)
	require.Contains(t, main, `update <code>http_422</code>`)
	require.Equal(t, 19, strings.Count(main, `href="/record?customer=acme&amp;id=`), "20 rows, the newest")
	require.NotContains(t, main, "4711", "it is another customer's")
	require.Contains(t, main, `href="/audit?customer=acme"`)
	f.who = access.Principal{ID: "link:1", Customer: "acme", Rights: []access.Right{access.Read}}
	_, body = f.get("/customers/acme")
	require.NotContains(t, mainOf(body), `href="/audit`)
}
