package pages

import (
	"encoding/csv"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/services/console/internal/access"
)

// downloaded returns a file and the name under which it is stored.
func (f *fixture) downloaded(path string) (body, name string) {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.web.URL+path, nil)
	require.NoError(f.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(f.t, err)
	name = response.Header.Get("Content-Disposition")
	require.NoError(f.t, response.Body.Close())
	status, body := f.get(path)
	require.Equal(f.t, http.StatusOK, status, path)
	return body, name
}

func TestReportsOfGivingAreDownloadedAndAudited(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fillForSearch()
	f.exec(`INSERT INTO giving_reports (customer_id, date, report, made_at) VALUES ('acme', '2026-03-01', $1, '2026-03-01 20:00Z')`,
		`{"customerId": "acme", "date": "2026-03-01", "metrics": {"failed": {"value": 7, "state": "act", "healthy": "0", "remedy": "Look, and retry."}}}`)
	f.who = access.Principal{ID: "link:1", Customer: "acme", Rights: []access.Right{access.Read}}

	body, name := f.downloaded("/customers/acme/reports/giving.json")
	require.Equal(t, `attachment; filename="acme-giving-now.json"`, name)
	var made dailyreport.Report
	require.NoError(t, json.Unmarshal([]byte(body), &made))
	require.EqualValues(t, 1, made.Metrics.Pending.Value)

	body, name = f.downloaded("/customers/acme/reports/giving.csv?date=2026-03-01")
	require.Equal(t, `attachment; filename="acme-giving-2026-03-01.csv"`, name)
	rows, err := csv.NewReader(strings.NewReader(body)).ReadAll()
	require.NoError(t, err)
	require.Len(t, rows, 1+7, "a row for each of the seven figures")
	require.Equal(t, []string{"acme", "2026-03-01", "0001-01-01T00:00:00Z", "failed", "7", "act", "0", "", "Look, and retry."}, rows[4])

	_, page := f.get("/customers/acme")
	require.Contains(t, mainOf(page), `href="/customers/acme/reports/giving.csv?date=2026-03-01"`)
	var acts int
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT count(*) FROM operator_audit WHERE verb = 'reports.download' AND operator = 'link:1'
		AND customer_id = 'acme' AND filter ->> 'kind' = 'giving'`).Scan(&acts))
	require.Equal(t, 4, acts, "each download")
}

func TestReportOfReconciliationsIsATable(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	f.exec(`INSERT INTO reconciliation_runs (customer_id, type, date, job_id, expected_count, gap_count, failure_count, started_at, completed_at)
		VALUES ('acme', 'user_daily', '2026-03-01', 1, 1234, 2, 1, '2026-03-02 01:00Z', '2026-03-02 01:10Z')`)
	body, _ := f.downloaded("/customers/acme/reports/reconciliations.csv")
	require.Equal(t, "customer,date,changed_users,gaps,letters,completed_at\nacme,2026-03-01,1234,2,1,2026-03-02T01:10:00Z\n", body)
	body, _ = f.downloaded("/customers/acme/reports/reconciliations.json")
	require.Contains(t, body, `"changedUsers": 1234`)
}

func TestReportsOfOthersAndUnknownOnesAreNotFound(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fillForSearch()
	f.who = access.Principal{ID: "link:1", Customer: "globex", Rights: []access.Right{access.Read}}
	for _, path := range []string{
		"/customers/acme/reports/giving.json", "/customers/nothing/reports/giving.json", "/customers/globex/reports/giving.json", // it has no giving
		"/customers/globex/reports/giving.xml", "/customers/globex/reports/giving", "/customers/globex/reports/other.json",
		"/customers/globex/reports/giving.json?date=2026-03-01", "/customers/globex/reports/giving.json?date=today",
	} {
		status, _ := f.get(path)
		require.Equal(t, http.StatusNotFound, status, path)
	}
	f.who = access.Principal{}
	status, at := f.get("/customers/acme/reports/giving.json")
	require.Equal(t, http.StatusSeeOther, status)
	require.Contains(t, at, "/sign-in")
}

func TestOnlyRecordsThatVirtuousHasLeadThere(t *testing.T) {
	t.Parallel()
	const app = virtuousApp("https://app.virtuoussoftware.com/")
	require.Equal(t, "https://app.virtuoussoftware.com/Generosity/Contact/View/42", app.page("contact", new("42")))
	require.Equal(t, "https://app.virtuoussoftware.com/Generosity/Gift/View/42", app.page("gift", new("42")))
	for _, id := range []*string{nil, new(""), new("don-1"), new("-1"), new("4/2")} {
		require.Empty(t, app.page("contact", id))
	}
	require.Empty(t, app.page("user", new("42")))
}
