package access

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
)

// signIn signs the browser in with an API token.
func (b *browser) signIn(secret string) {
	b.f.t.Helper()
	answer := b.do(http.MethodPost, "/sign-in", url.Values{"token": {secret}, "next": {"/customers/acme"}}, "Sec-Fetch-Site: same-origin")
	require.Equal(b.f.t, http.StatusSeeOther, answer.Code, answer.Body.String())
	require.Equal(b.f.t, "/customers/acme", answer.Header().Get("Location"))
}

func TestPersonSignsInWithATokenAndOut(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	secret := f.token(operatorapi.TokenAddition{Name: "ana", Role: "operator"}).Secret
	b := f.browser(console)
	page := b.get("/sign-in?next=/customers/acme")
	require.Equal(t, http.StatusOK, page.Code)
	require.Contains(t, page.Body.String(), `value="/customers/acme"`)
	wrong := b.do(http.MethodPost, "/sign-in", url.Values{"token": {secret + "x"}})
	require.Equal(t, http.StatusUnauthorized, wrong.Code)
	require.NotContains(t, wrong.Body.String(), secret)
	require.Empty(t, b.who())

	b.signIn(secret)
	require.Equal(t, "token:ana", b.who())
	cookie := b.jar.Cookies(b.base)[0]
	require.Equal(t, http.StatusSeeOther, b.do(http.MethodPost, "/sign-out", url.Values{}).Code)
	require.Empty(t, b.jar.Cookies(b.base))
	b.jar.SetCookies(b.base, []*http.Cookie{cookie})
	require.Empty(t, b.who(), "a kept cookie is worth nothing after signing out")
}

func TestRevokingATokenEndsItsSessions(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	b := f.browser(console)
	b.signIn(f.token(operatorapi.TokenAddition{Name: "ana", Role: "operator"}).Secret)
	_, err := f.revokeToken(t.Context(), operatorapi.TokenRevocation{Name: "ana"})
	require.NoError(t, err)
	require.Empty(t, b.who())
}

func TestSessionEndsWhenItIsIdleAndAtItsAge(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "CONSOLE_SESSION_IDLE=1h", "CONSOLE_SESSION_AGE=2h")
	secret := f.token(operatorapi.TokenAddition{Name: "ana", Role: "operator"}).Secret
	idle, busy := f.browser(console), f.browser(console)
	idle.signIn(secret)
	busy.signIn(secret)
	f.advance(50 * time.Minute)
	require.Equal(t, "token:ana", busy.who())
	f.advance(20 * time.Minute)
	require.Empty(t, idle.who())
	require.Equal(t, "token:ana", busy.who())
	f.advance(49 * time.Minute)
	require.Equal(t, "token:ana", busy.who())
	f.advance(2 * time.Minute)
	require.Empty(t, busy.who(), "it is over however often it was used")
	deleted, err := f.Service.Store.ForgetConsoleSessions(t.Context(), time.Hour, 10)
	require.NoError(t, err)
	require.EqualValues(t, 1, deleted)
}

// A session that an attacker began and put into a person's browser must not become the person's.
func TestSignInRenewsTheSession(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	attacker, victim := f.browser(console), f.browser(console)
	_, path := f.link(operatorapi.LinkAddition{CustomerID: "acme"})
	attacker.get(path)
	planted := attacker.jar.Cookies(attacker.base)
	victim.jar.SetCookies(victim.base, planted)
	require.Equal(t, "link:1", victim.who())

	victim.signIn(f.token(operatorapi.TokenAddition{Name: "ana", Role: "admin"}).Secret)
	require.Equal(t, "token:ana", victim.who())
	require.NotEqual(t, planted[0].Value, victim.jar.Cookies(victim.base)[0].Value)
	require.Empty(t, attacker.who())

	chosen := f.browser(console)
	chosen.jar.SetCookies(chosen.base, []*http.Cookie{{Name: planted[0].Name, Value: "chosen-by-an-attacker"}})
	chosen.signIn(f.token(operatorapi.TokenAddition{Name: "ben", Role: "admin"}).Secret)
	require.NotEqual(t, "chosen-by-an-attacker", chosen.jar.Cookies(chosen.base)[0].Value)
}

func TestCrossSiteRequestsChangeNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "CONSOLE_PUBLIC_URL="+console)
	secret := f.token(operatorapi.TokenAddition{Name: "ana", Role: "admin"}).Secret
	b := f.browser(console)
	b.signIn(secret)
	for name, headers := range map[string][]string{
		"cross-site":    {"Sec-Fetch-Site: cross-site"},
		"same-site":     {"Sec-Fetch-Site: same-site"},
		"older browser": {"Origin: https://evil.example"},
		"no origin":     {"Origin: null"},
	} {
		require.Equal(t, http.StatusForbidden, b.do(http.MethodPost, "/customers/acme/pause", url.Values{}, headers...).Code, name)
		require.Equal(t, http.StatusForbidden, b.do(http.MethodPost, "/sign-in", url.Values{"token": {secret}}, headers...).Code, name)
		require.Equal(t, http.StatusForbidden, b.do(http.MethodPost, "/sign-out", url.Values{}, headers...).Code, name)
	}
	require.Equal(t, http.StatusOK, b.do(http.MethodPost, "/customers/acme/pause", url.Values{}, "Origin: "+console).Code)
	require.Equal(t, http.StatusOK, b.do(http.MethodPost, "/customers/acme/pause", url.Values{}, "Sec-Fetch-Site: same-origin").Code)
	// A token in the header is sent by no browser of its own accord.
	require.Equal(t, http.StatusOK, f.browser(console).do(http.MethodPost, "/customers/acme/pause", url.Values{}, bearer(secret),
		"Origin: https://evil.example").Code)
}

func TestThisMachineMayReadAndNothingElse(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, base := range []string{"http://127.0.0.1:8088", "http://localhost:8088", "http://[::1]:8088", "http://LOCALHOST"} {
		b := f.browser(base)
		b.peer = "127.0.0.1:50000"
		require.Equal(t, "local", b.who(), base)
		require.Equal(t, http.StatusOK, b.get("/customers/acme").Code)
		require.Equal(t, http.StatusForbidden, b.do(http.MethodPost, "/customers/acme/pause", url.Values{}).Code)
		secret := f.token(operatorapi.TokenAddition{Name: "robot", Role: "viewer"})
		require.Equal(t, "token:"+secret.Name, b.get("/who", bearer(secret.Secret)).Body.String(), "credentials win")
		require.Equal(t, http.StatusUnauthorized, b.get("/who", bearer("wrong")).Code, "wrong ones, too")
		_, err := f.revokeToken(t.Context(), operatorapi.TokenRevocation{Name: secret.Name})
		require.NoError(t, err)
	}
}

func TestOtherMachinesAndOtherNamesMayNotRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for name, one := range map[string]struct{ base, peer, header string }{
		"another machine":        {"http://127.0.0.1:8088", outside, "A: b"},
		"DNS rebinding":          {"http://evil.example:8088", "127.0.0.1:50000", "A: b"},
		"a name like it":         {"http://localhost.evil.example:8088", "127.0.0.1:50000", "A: b"},
		"another address":        {"http://192.168.1.7:8088", "127.0.0.1:50000", "A: b"},
		"a proxy":                {"http://127.0.0.1:8088", "127.0.0.1:50000", "X-Forwarded-For: 203.0.113.7"},
		"a proxy of the new way": {"http://127.0.0.1:8088", "127.0.0.1:50000", "Forwarded: for=203.0.113.7"},
	} {
		b := f.browser(one.base)
		b.peer = one.peer
		require.Empty(t, b.get("/who", one.header).Body.String(), name)
	}
	for _, setting := range []string{
		"HTTP_ADDR=0.0.0.0:8088", "CONSOLE_PUBLIC_URL=" + console,
		"OIDC_ISSUER=https://id.example.org\x00OIDC_CLIENT_ID=c\x00CONSOLE_PUBLIC_URL=http://127.0.0.1:8088",
	} {
		b := newFixture(t, strings.Split(setting, "\x00")...).browser("http://127.0.0.1:8088")
		b.peer = "127.0.0.1:50000"
		require.Empty(t, b.who(), setting)
	}
}

func TestSignInsAreLimitedForEachPeer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	b := f.browser(console)
	limited := 0
	for range attemptsAtOnce + 5 {
		if b.do(http.MethodPost, "/sign-in", url.Values{"token": {"rct_x"}}).Code == http.StatusTooManyRequests {
			limited++
		}
	}
	require.Positive(t, limited)
	require.Equal(t, http.StatusTooManyRequests, b.get("/l/rcl_x").Code)
	other := f.browser(console)
	other.peer = "203.0.113.8:1"
	require.Equal(t, http.StatusUnauthorized, other.do(http.MethodPost, "/sign-in", url.Values{"token": {"rct_x"}}).Code)
}

func TestPeersTakeBoundedMemory(t *testing.T) {
	t.Parallel()
	known := newAttempts()
	request := func(peer string) *http.Request { return &http.Request{RemoteAddr: peer} }
	for i := range 3 * peersKnown {
		known.allow(request("[2001:db8:" + hex(i>>8) + ":" + hex(i&0xff) + "::1]:1"))
	}
	require.LessOrEqual(t, len(known.peers), peersKnown)
	require.Equal(t, peerOf(request("[2001:db8::1]:1")), peerOf(request("[2001:db8::2]:2")), "a network counts as one peer")
	require.NotEqual(t, peerOf(request("203.0.113.7:1")), peerOf(request("203.0.113.8:1")))
	require.Zero(t, peerOf(request("no address")))
}

func hex(i int) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[i>>4&15], digits[i&15]})
}

func TestSignInLeadsNowhereElse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                     "/",
		"/customers/acme?a=b":  "/customers/acme?a=b",
		"https://evil.example": "/",
		"//evil.example":       "/",
		"/\\evil.example":      "/",
		"\\\\evil.example":     "/",
		"/\r\nSet-Cookie: a=b": "/",
		"javascript:alert(1)":  "/",
		"/a//b":                "/a//b",
		"customers":            "/",
		"/%0d%0a":              "/%0d%0a",
		"/./\t/evil.example":   "/",
	} {
		require.Equal(t, want, localPath(text), text)
	}
}

func TestEachAnswerHasTheSecurityHeaders(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	b := f.browser(console)
	for _, path := range []string{"/sign-in", "/who", "/nothing", "/l/x", "/api/v1/who", "/customers/acme"} {
		header := b.get(path).Header()
		policy := header.Get("Content-Security-Policy")
		require.Contains(t, policy, "default-src 'none'; script-src 'self'; style-src 'self'", path)
		require.NotContains(t, policy, "unsafe", path)
		require.Equal(t, "nosniff", header.Get("X-Content-Type-Options"), path)
		require.Equal(t, "no-referrer", header.Get("Referrer-Policy"), path)
		require.Equal(t, "no-store", header.Get("Cache-Control"), path)
	}
}

func TestLongBodiesAreRejected(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	answer := f.browser(console).do(http.MethodPost, "/sign-in", url.Values{"token": {strings.Repeat("a", maxBody+1)}})
	require.Equal(t, http.StatusBadRequest, answer.Code)
}
