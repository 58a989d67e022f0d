package access

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

func TestLinkOpensItsCustomerAndNoOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "CONSOLE_PUBLIC_URL="+console)
	added, path := f.link(operatorapi.LinkAddition{CustomerID: "acme"})
	require.Equal(t, console+path, added.URL)
	require.Equal(t, []string{"read"}, added.Rights)
	b := f.browser(console)
	answer := b.get(path)
	require.Equal(t, http.StatusSeeOther, answer.Code)
	require.Equal(t, "/customers/acme", answer.Header().Get("Location"))
	require.Equal(t, "no-referrer", answer.Header().Get("Referrer-Policy"))
	cookie := answer.Header().Get("Set-Cookie")
	for _, attribute := range []string{"__Host-rollcall_session=", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax"} {
		require.Contains(t, cookie, attribute)
	}
	require.NotContains(t, cookie, "Partitioned")
	require.Equal(t, "link:1", b.who())
	require.Equal(t, http.StatusOK, b.get("/customers/acme").Code)
	require.Equal(t, http.StatusNotFound, b.get("/customers/globex").Code)
	require.Equal(t, http.StatusForbidden, b.do(http.MethodPost, "/customers/acme/pause", url.Values{}).Code, "it may only look")
}

func TestLinkMayDoWhatItsRightsSay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, path := f.link(operatorapi.LinkAddition{CustomerID: "acme", Rights: []string{"pause", "letters"}})
	b := f.browser(console)
	b.get(path)
	require.Equal(t, http.StatusOK, b.do(http.MethodPost, "/customers/acme/pause", url.Values{}).Code)
	require.Equal(t, http.StatusNotFound, b.do(http.MethodPost, "/customers/globex/pause", url.Values{}).Code)
}

func TestRevokedAndExpiredLinksEndAtOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	revoked, path := f.link(operatorapi.LinkAddition{CustomerID: "acme"})
	_, expiring := f.link(operatorapi.LinkAddition{CustomerID: "globex", LifeSeconds: 3600})
	first, second := f.browser(console), f.browser(console)
	first.get(path)
	second.get(expiring)
	require.Equal(t, []string{"link:1", "link:2"}, []string{first.who(), second.who()})

	ended, err := f.revokeLink(t.Context(), operatorapi.LinkRevocation{ID: revoked.ID})
	require.NoError(t, err)
	require.Equal(t, "acme", *ended.CustomerID)
	require.Empty(t, first.who(), "the session that was begun with it ends, too")
	require.Equal(t, http.StatusNotFound, first.get(path).Code)
	f.advance(61 * time.Minute)
	require.Empty(t, second.who())
	require.Equal(t, http.StatusNotFound, second.get(expiring).Code)

	listed, err := f.listLinks(t.Context(), operatorapi.LinksQuestion{})
	require.NoError(t, err)
	require.Equal(t, []string{operatorapi.GrantExpired, operatorapi.GrantRevoked}, []string{listed.Links[0].State, listed.Links[1].State})
	_, err = f.revokeLink(t.Context(), operatorapi.LinkRevocation{ID: revoked.ID})
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestForgedLinksAreRejected(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, path := f.link(operatorapi.LinkAddition{CustomerID: "acme"})
	token := f.token(operatorapi.TokenAddition{Name: "robot", Role: "admin"}).Secret
	b := f.browser(console)
	for name, forged := range map[string]string{
		"another secret": path[:len(path)-3] + "AAA",
		"cut":            path[:20],
		"a token":        "/l/" + token,
		"token as link":  "/l/rcl_" + strings.TrimPrefix(token, "rct_"),
		"escaped":        "/l/%2e%2e%2fadmin",
		"NUL":            "/l/%00",
	} {
		answer := b.get(forged)
		require.Equal(t, http.StatusNotFound, answer.Code, name)
		require.Empty(t, answer.Header().Get("Set-Cookie"), name)
	}
	require.NotContains(t, f.log.String(), "rcl_")
}

func TestFramedLinkHasACookieForEachSite(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "CONSOLE_PUBLIC_URL="+console, "CONSOLE_FRAME_ANCESTORS=https://app.example.org, https://app2.example.org")
	_, path := f.link(operatorapi.LinkAddition{CustomerID: "acme"})
	b := f.browser(console)
	answer := b.get(path, "Sec-Fetch-Site: cross-site", "Sec-Fetch-Dest: iframe")
	require.Contains(t, answer.Header().Get("Set-Cookie"), "; HttpOnly; Secure; SameSite=None; Partitioned")
	for _, framed := range []string{path, "/customers/acme"} {
		answer = b.get(framed)
		require.Contains(t, answer.Header().Get("Content-Security-Policy"), "frame-ancestors https://app.example.org https://app2.example.org")
		require.Empty(t, answer.Header().Get("X-Frame-Options"))
	}
	token := f.token(operatorapi.TokenAddition{Name: "robot", Role: "admin"}).Secret
	answer = b.get("/who", bearer(token))
	require.Contains(t, answer.Header().Get("Content-Security-Policy"), "frame-ancestors 'none'", "operators' pages are in no frame")
	require.Equal(t, "DENY", answer.Header().Get("X-Frame-Options"))
}

func TestLinkDoesNotEndThePersonsOwnSession(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	b := f.browser(console)
	b.signIn(f.token(operatorapi.TokenAddition{Name: "ana", Role: "operator"}).Secret)
	_, path := f.link(operatorapi.LinkAddition{CustomerID: "acme"})
	require.Equal(t, http.StatusSeeOther, b.get(path, "Sec-Fetch-Site: cross-site").Code)
	require.Equal(t, "token:ana", b.who())
}

func TestInvalidLinksAreNotAdded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, asked := range map[string]operatorapi.LinkAddition{
		"right of operators": {CustomerID: "acme", Rights: []string{"customers"}},
		"admin":              {CustomerID: "acme", Rights: []string{"admin"}},
		"91 days":            {CustomerID: "acme", LifeSeconds: 91 * 24 * 3600},
		"a second":           {CustomerID: "acme", LifeSeconds: 1},
		"no customer":        {},
	} {
		_, err := f.addLink(t.Context(), asked)
		var fields *service.FieldsError
		require.ErrorAs(t, err, &fields, name)
	}
	_, err := f.addLink(t.Context(), operatorapi.LinkAddition{CustomerID: "initech"})
	require.ErrorIs(t, err, store.ErrNotFound)
	f.exec(`UPDATE sync_configs SET offboarded_at = now() WHERE customer_id = 'acme'`)
	_, err = f.addLink(t.Context(), operatorapi.LinkAddition{CustomerID: "acme"})
	require.ErrorIs(t, err, store.ErrNotFound)

	unknown := newFixture(t, "HTTP_ADDR=0.0.0.0:8080")
	_, err = unknown.addLink(t.Context(), operatorapi.LinkAddition{CustomerID: "acme"})
	var conflict *service.ConflictError
	require.ErrorAs(t, err, &conflict)
	require.Contains(t, conflict.Text, "CONSOLE_PUBLIC_URL")
}

func TestOffboardingDeletesTheCustomersLinksAndTokens(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, path := f.link(operatorapi.LinkAddition{CustomerID: "acme"})
	own := f.token(operatorapi.TokenAddition{Name: "own", Role: "viewer", CustomerID: "acme"}).Secret
	other := f.token(operatorapi.TokenAddition{Name: "other", Role: "viewer"}).Secret
	b := f.browser(console)
	b.get(path)
	require.Equal(t, "link:1", b.who())
	require.NoError(t, f.Service.Store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.OffboardCustomer(ctx, "acme")
		return err
	}))
	require.Empty(t, b.who())
	require.Equal(t, http.StatusUnauthorized, b.get("/api/v1/who", bearer(own)).Code)
	require.Equal(t, http.StatusOK, b.get("/api/v1/who", bearer(other)).Code)
}

func TestListsAreReadPageByPage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for range 5 {
		f.link(operatorapi.LinkAddition{CustomerID: "acme"})
	}
	f.link(operatorapi.LinkAddition{CustomerID: "globex"})
	var ids []int64
	question := operatorapi.LinksQuestion{CustomerID: "acme", Limit: 2}
	for {
		page, err := f.listLinks(t.Context(), question)
		require.NoError(t, err)
		for _, link := range page.Links {
			ids = append(ids, link.ID)
		}
		if page.Next == nil {
			break
		}
		question.Before = *page.Next
	}
	require.Equal(t, []int64{5, 4, 3, 2, 1}, ids)
	_, err := f.listLinks(t.Context(), operatorapi.LinksQuestion{Limit: 1000})
	var bad *service.BadRequestError
	require.ErrorAs(t, err, &bad)
}
