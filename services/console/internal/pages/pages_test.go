package pages

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/services/console/internal/access"
)

func TestCustomersAreListedWorstFirstAndHealthyOnesAreOneLine(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, customer := range []string{"acme", "globex", "initech", "umbrella"} {
		f.onboard(customer)
	}
	f.raise("umbrella", event.AlertDestinationDown)
	f.exec(`UPDATE sync_configs SET paused_at = '2026-03-01' WHERE customer_id = 'globex'`)

	status, body := f.get("/customers")

	require.Equal(t, http.StatusOK, status)
	require.Contains(t, body, "1 of 4 customers needs you")
	main := mainOf(body)
	require.Less(t, strings.Index(main, "umbrella"), strings.Index(main, "globex"))
	require.Contains(t, main, "2 healthy customers")
	require.NotContains(t, main, "/customers/acme")
	_, body = f.get("/customers?state=healthy")
	require.Contains(t, mainOf(body), "/customers/acme")
	require.NotContains(t, mainOf(body), "/customers/umbrella")
}

func TestListWithoutCustomersTeachesTheFirstStep(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, body := f.get("/customers")
	require.Contains(t, body, "rollcall onboard acme")
	f.onboard("acme")
	f.board.Forget()
	_, body = f.get("/customers?q=zzz")
	require.Contains(t, mainOf(body), "Your filter hides 1 customer")
}

func TestCustomerPageSaysWhatIsWrongSinceWhenAndWhatHelps(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	f.raise("acme", event.AlertDeletionsHeld)

	status, body := f.get("/customers/acme")

	require.Equal(t, http.StatusOK, status)
	main := mainOf(body)
	text, _ := event.ExplainFor("acme", event.AlertDeletionsHeld)
	require.Contains(t, main, text)
	require.Contains(t, main, `href="/held/acme/user"`)
	require.Contains(t, main, "rollcall deletions show acme")
	require.Contains(t, main, "Since")
	require.Contains(t, main, "The reconciler service does not answer", "no other service runs, and the page is there all the same")
}

func TestEachReasonHasItsCommand(t *testing.T) {
	t.Parallel()
	for _, code := range append(event.GivingFigures(), event.ConditionPaused, event.AlertAuthFailed, event.AlertPollStalled, "something_new") {
		remedy := remedyFor(code, "acme")
		require.Contains(t, remedy.Command, "rollcall ", code)
		require.Equal(t, remedy.Label == "", remedy.Path == "", code)
	}
}

func TestPrincipalOfOneCustomerSeesNoOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	f.onboard("globex")
	f.exec(`INSERT INTO dead_letters (id, customer_id, kind, record_id, error_code, error_class, state, attempts, first_failed_at, last_failed_at,
		original_subject, job)
		VALUES (gen_random_uuid(), 'globex', 'user', '7', 'http_422', 'permanent', 'review', 1, now(), now(), 'x', 'user_sync_poll')`)
	f.who = access.Principal{ID: "link:1", Customer: "acme", Rights: []access.Right{access.Read, access.Pause}}
	for _, path := range []string{
		"/customers/globex", "/held/globex/user", "/review/globex/1", "/streams", "/audit", "/settings",
	} {
		status, body := f.get(path)
		require.Equal(t, http.StatusNotFound, status, path)
		require.NotContains(t, body, "globex", path)
	}
	for _, path := range []string{"/customers", "/letters", "/letters?customer=globex", "/alerts?customer=globex"} {
		_, body := f.get(path)
		require.NotContains(t, mainOf(body), "globex", path)
	}
	foreign, _ := f.post("/customers/globex/resume", url.Values{})
	unknown, _ := f.post("/customers/nothing/resume", url.Values{})
	require.Equal(t, http.StatusNotFound, foreign)
	require.Equal(t, unknown, foreign, "a customer of others looks like one that does not exist")
}

func TestActWithoutItsRightIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	f.who = access.Principal{ID: "user:viewer", Rights: access.Viewer.Rights()}
	for _, path := range []string{
		"/customers/acme/pause", "/customers/acme/backfill", "/letters/retry", "/letters/chosen/retry", "/drains/1/abort",
		"/held/acme/user/approve", "/review/acme/1", "/letters/0c3f2a11/retry",
	} {
		status, _ := f.post(path, url.Values{"confirm": {"acme"}})
		require.Equal(t, http.StatusForbidden, status, path)
	}
	f.who = access.Principal{}
	status, location := f.get("/customers")
	require.Equal(t, http.StatusSeeOther, status)
	require.Contains(t, location, "/sign-in")
}

func TestApprovalNeedsTheCustomersID(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	status, location := f.post("/held/acme/user/approve", url.Values{"confirm": {"acm"}})
	require.Equal(t, http.StatusSeeOther, status)
	require.Contains(t, location, "said=not-confirmed")
}

// A page that asks for what is sealed would fill the audit if it were made again every few seconds.
func TestPagesWhoseQuestionsAreAuditedAreNotLive(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	for path, isLive := range map[string]bool{"/customers/acme": true, "/letters": true, "/record?customer=acme&kind=user&id=1": false,
		"/letters?plan=retry": false, "/letters?q=1": true} {
		_, body := f.get(path)
		require.Equal(t, isLive, !strings.Contains(body, `data-live=""`), path)
	}
	page := f.listen("/record?customer=acme&kind=user&id=1")
	for page.lines.Scan() {
		require.NotContains(t, page.lines.Text(), "fragment")
	}
}

func TestBulkActWithoutFilterIsRefused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, body := f.get("/letters?plan=retry")
	require.Contains(t, body, "Choose a filter first")
	status, _ := f.post("/letters/discard", url.Values{"note": {"all of it"}})
	require.Equal(t, http.StatusForbidden, status)
}

// A name that an attacker may choose is text on every page.
func TestNamesAreTextOnEachPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	const script = `<script>alert(1)</script>`
	f.exec(`INSERT INTO dead_letters (id, customer_id, kind, record_id, error_code, error_class, state, attempts, first_failed_at, last_failed_at,
		original_subject, job)
		VALUES ('0c3f2a11-0000-4000-8000-000000000001', 'acme', 'user', $1, $1, 'permanent', 'review', 1, now(), now(), $1, $1)`, script)
	f.exec(`INSERT INTO operator_audit (at, operator, via, verb, customer_id, filter, outcome) VALUES (now(), $1, 'api', $1, 'acme', to_jsonb($1::text),
		'done')`, script)
	quoted := url.QueryEscape(script)
	for _, path := range []string{
		"/customers?q=" + quoted, "/customers?state=" + quoted, "/customers/acme", "/letters", "/letters?q=" + quoted, "/letters?customer=" + quoted,
		"/audit", "/audit?verb=" + quoted, "/record?customer=acme&kind=user&id=" + quoted, "/customers/acme?said=" + quoted,
	} {
		_, body := f.get(path)
		require.NotContains(t, body, script, path)
	}
}

func TestEachPageAnswersWhenNoOtherServiceRuns(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	for path, want := range map[string]int{
		"/": http.StatusSeeOther, "/customers": 200, "/customers/acme": 200, "/customers/nothing": 404, "/letters": 200, "/letters/0c3f2a11": 404,
		"/drains/1": 404, "/drains/x": 404,
		"/held": 503, "/review": 503, "/alerts": 200, "/alerts?all": 200, "/streams": 200, "/record": 200, "/audit": 200, "/settings": 200,
		"/nothing": 404, "/live?at=https://elsewhere.example/": 400, "/search": 200,
	} {
		status, body := f.get(path)
		require.Equal(t, want, status, path)
		require.NotContains(t, body, "panic", path)
	}
}

func (f *fixture) post(path string, form url.Values) (status int, body string) {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, f.web.URL+path, strings.NewReader(form.Encode()))
	require.NoError(f.t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return f.send(request)
}

func TestNumbersAreReadAtFirstSight(t *testing.T) {
	t.Parallel()
	require.Equal(t, "1,234,567", number(1234567))
	require.Equal(t, "1 letter", counted(1, "letter", "letters"))
	require.Equal(t, "24 s to 39 s", remaining(30))
	require.Equal(t, "poll stalled", spaced("poll_stalled"))
	require.Equal(t, "Take partner", dashed("take-partner"))
	require.Equal(t, "3 h", inShort(3*time.Hour))
}
