package pages

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/services/console/internal/access"
)

func TestLettersThatAreTickedAreRetriedOrDiscarded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.onboard("acme")
	f.exec(`INSERT INTO dead_letters (id, customer_id, kind, record_id, error_code, error_class, state, attempts, first_failed_at, last_failed_at,
		original_subject, job) VALUES ('0c3f2a11-0000-4000-8000-000000000001', 'acme', 'user', '1007', 'http_422', 'permanent', 'review', 1,
		rollcall_now(), rollcall_now(), 's', 'j')`)
	_, body := f.get("/letters")
	require.Contains(t, body, `value="0c3f2a11-0000-4000-8000-000000000001"`)
	for _, path := range []string{"/letters?state=all", "/customers/acme"} {
		_, body = f.get(path)
		require.NotContains(t, body, `type="checkbox"`, path)
	}
	ids := []string{"0c3f2a11-0000-4000-8000-000000000001", "0c3f2a11-0000-4000-8000-000000000002"}
	asked := serves[operatorapi.LettersCommand](f, "letters", "retry", operatorapi.LettersDone{Done: 1, Left: []operatorapi.LetterLeft{{ID: ids[1]}}})
	status, location := f.post("/letters/chosen/retry", url.Values{"id": ids})
	require.Equal(t, http.StatusSeeOther, status)
	require.Equal(t, operatorapi.LettersFilter{IDs: ids}, (<-asked).LettersFilter)
	_, body = f.get(location)
	require.Contains(t, body, "1 letter is retried at once. 1 stays as it is; each one&#39;s page says why.")

	discarded := serves[operatorapi.LettersCommand](f, "letters", "discard", operatorapi.LettersDone{Done: 2})
	f.who = access.Principal{ID: "link:1", Customer: "acme", Rights: []access.Right{access.Read, access.Letters}}
	_, location = f.post("/letters/chosen/discard", url.Values{"id": ids, "note": {"left the charity"}})
	command := <-discarded
	require.Equal(t, operatorapi.LettersFilter{CustomerID: "acme", IDs: ids}, command.LettersFilter, "another customer's letter is not known")
	require.Equal(t, "left the charity", command.Note)
	_, body = f.get(location)
	require.Contains(t, body, "2 letters were discarded.")

	_, location = f.post("/letters/chosen/retry", url.Values{})
	_, body = f.get(location)
	require.Contains(t, body, "tick the letters first")
	f.who.Rights = []access.Right{access.Read}
	_, body = f.get("/letters")
	require.NotContains(t, body, `type="checkbox"`)
}
