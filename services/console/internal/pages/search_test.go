package pages

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/services/console/internal/access"
)

const foundLetter = "0c3f2a11-0000-4000-8000-000000000001"

// searched returns the status of a search, and where it leads or what it shows.
func (f *fixture) searched(text string) (status int, shown string) {
	f.t.Helper()
	status, body := f.post("/search", url.Values{"q": {text}})
	if status == http.StatusOK {
		return status, mainOf(body)
	}
	return status, body
}

// fillForSearch gives acme a record of each kind, and globex a user with the same id and the same email address.
func (f *fixture) fillForSearch() {
	f.t.Helper()
	f.onboard("acme")
	f.onboard("globex")
	f.exec(`INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_known_email, last_synced_updated_at, version_hash, last_synced_at)
		SELECT customer, id, 'x' || id, email, '2026-02-01', '\x00', '2026-02-01'
		FROM (VALUES ('acme', '4711', 'ada@example.org'), ('acme', '4712', 'bob@example.org'), ('globex', '4711', 'ada@example.org')) v (customer, id, email)`)
	f.exec(`INSERT INTO dead_letters (id, customer_id, kind, record_id, error_code, error_class, state, attempts, first_failed_at, last_failed_at,
			original_subject, job)
		VALUES ($1, 'acme', 'user', '4799', 'http_422', 'permanent', 'review', 1, now(), now(), 'x', 'user_sync_poll')`, foundLetter)
	f.exec(`INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours, stuck_after_hours,
			organization_id, organization_name, time_zone, culture, updated_at)
		VALUES ('acme', true, now(), 'designations', '{}', 72, 24, '1', 'Relief', 'UTC', 'en-US', now())`)
	f.exec(`INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
			next_attempt_at, trace_id, created_at, status_at, updated_at)
		VALUES ('acme', 'don-1', 'pending', 's', '\x00', '\x00', '\x00', now(), '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01', now(), now(), now())`)
	f.exec(`INSERT INTO partner_gifts (customer_id, virtuous_gift_id, state, content_hash, sealed, created_at, last_sync_at)
		VALUES ('acme', 880, 'live', '\x00', '\x00', now(), now())`)
	f.exec(`INSERT INTO partner_contacts (customer_id, virtuous_contact_id, state, content_hash, sealed, created_at, last_sync_at)
		VALUES ('acme', 990, 'live', '\x00', '\x00', now(), now())`)
}

func TestSearchLeadsToTheOneThingThatATextMeans(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fillForSearch()
	for text, want := range map[string]string{
		"acme": "/customers/acme", " ACME ": "/customers/acme", "glob": "/customers/globex",
		"4712": "/record?customer=acme&id=4712&kind=user", "4799": "/record?customer=acme&id=4799&kind=user",
		"0c3f2a11": "/letters/" + foundLetter, foundLetter: "/letters/" + foundLetter,
		"don-1": "/record?customer=acme&id=don-1&kind=gift", "880": "/record?customer=acme&id=880&kind=gift",
		"990":                              "/record?customer=acme&id=990&kind=contact",
		"4bf92f3577b34da6a3ce929d0e0e4736": "/record?customer=acme&id=don-1&kind=gift",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": "/record?customer=acme&id=don-1&kind=gift",
		"Bob@Example.org ": "/record?customer=acme&id=4712&kind=user",
	} {
		status, at := f.searched(text)
		require.Equal(t, http.StatusSeeOther, status, text)
		require.Equal(t, want, at, text)
	}
}

func TestSearchListsSeveralAndTeachesIfThereIsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fillForSearch()
	for _, text := range []string{"4711", "ada@example.org"} {
		status, main := f.searched(text)
		require.Equal(t, http.StatusOK, status, text)
		require.Contains(t, main, "/record?customer=acme&amp;id=4711&amp;kind=user", text)
		require.Contains(t, main, "/record?customer=globex&amp;id=4711&amp;kind=user", text)
	}
	for _, text := range []string{"471", "none@example.org", "4bf92f3577b34da6a3ce929d0e0e4737", "x\x00y", "a@\x00", "a@\xff", `%_'`} {
		status, main := f.searched(text)
		require.Equal(t, http.StatusOK, status, text)
		require.Contains(t, main, "Nothing has this id", text)
	}
	_, main := f.searched("")
	require.NotContains(t, main, "Nothing has this id")
	require.Contains(t, main, "a user's email address")
}

func TestSearchOfOneCustomersPrincipalFindsNothingOfOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fillForSearch()
	f.who = access.Principal{ID: "link:1", Customer: "globex", Rights: []access.Right{access.Read, access.Donors}}
	for _, text := range []string{"4711", "ada@example.org"} {
		_, at := f.searched(text)
		require.Equal(t, "/record?customer=globex&id=4711&kind=user", at, text)
	}
	for _, text := range []string{
		"acme", "acm", "4712", "4799", "bob@example.org", foundLetter, "don-1", "880", "990", "4bf92f3577b34da6a3ce929d0e0e4736",
	} {
		status, main := f.searched(text)
		require.Equal(t, http.StatusOK, status, text)
		require.Contains(t, main, "Nothing has this id", text)
	}
}

func TestSearchByEmailNeedsTheRightAndIsAuditedWithoutTheAddress(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.fillForSearch()
	acts := func() (acts []string) {
		rows, err := f.pool.Query(t.Context(), `SELECT concat_ws(' ', operator, verb, customer_id, filter, outcome, result) FROM operator_audit`)
		require.NoError(t, err)
		defer rows.Close()
		for rows.Next() {
			var act string
			require.NoError(t, rows.Scan(&act))
			acts = append(acts, act)
		}
		return acts
	}
	f.who = access.Principal{ID: "user:viewer", Rights: access.Viewer.Rights()}
	_, main := f.searched("bob@example.org")
	require.Contains(t, main, "needs the right")
	require.Empty(t, acts())
	f.who = access.Principal{ID: "user:op", Rights: access.Operator.Rights()}
	_, at := f.searched("bob@example.org")
	require.Contains(t, at, "4712")
	require.Equal(t, []string{`user:op users.search {"kind": "email"} done {"users": 1}`}, acts())
	_, body := f.get("/search?q=bob%40example.org")
	require.NotContains(t, mainOf(body), "4712", "an address in a link would be kept in histories and logs")
}
