package access

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/oauth2-proxy/mockoidc"
	"github.com/stretchr/testify/require"
)

// oidcFixture is a fixture with an issuer.
type oidcFixture struct {
	*fixture

	issuer *mockoidc.MockOIDC
	client *http.Client // a browser's way to the issuer
}

func newOIDCFixture(t *testing.T, environ ...string) *oidcFixture {
	t.Helper()
	issuer, err := mockoidc.Run()
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, issuer.Shutdown()) })
	f := newFixture(t, append([]string{
		"OIDC_ISSUER=" + issuer.Issuer(), "OIDC_CLIENT_ID=" + issuer.ClientID, "OIDC_CLIENT_SECRET=" + issuer.ClientSecret,
		"CONSOLE_PUBLIC_URL=" + console,
	}, environ...)...)
	client := &http.Client{Transport: &http.Transport{}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	f.guard.issuer.client.Transport = &http.Transport{}
	t.Cleanup(client.CloseIdleConnections)
	t.Cleanup(f.guard.issuer.client.CloseIdleConnections)
	return &oidcFixture{fixture: f, issuer: issuer, client: client}
}

// answer takes a browser to the issuer, and returns the path of the console to which the issuer leads it back. change changes what the
// browser asks the issuer for.
func (f *oidcFixture) answer(b *browser, user mockoidc.User, change func(asked url.Values)) string {
	f.t.Helper()
	start := b.get("/sign-in/oidc?next=/customers/acme")
	require.Equal(f.t, http.StatusSeeOther, start.Code, start.Body.String())
	at, err := url.Parse(start.Header().Get("Location"))
	require.NoError(f.t, err)
	asked := at.Query()
	require.Equal(f.t, "S256", asked.Get("code_challenge_method"))
	require.NotEmpty(f.t, asked.Get("nonce"))
	require.Equal(f.t, console+"/sign-in/oidc/callback", asked.Get("redirect_uri"))
	change(asked)
	at.RawQuery = asked.Encode()
	f.issuer.QueueUser(user)
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, at.String(), nil)
	require.NoError(f.t, err)
	response, err := f.client.Do(request)
	require.NoError(f.t, err)
	require.NoError(f.t, response.Body.Close())
	path, found := strings.CutPrefix(response.Header.Get("Location"), console)
	require.True(f.t, found, response.Status)
	return path
}

func unchanged(url.Values) {}

func (f *oidcFixture) signIn(b *browser, user mockoidc.User) *httptest.ResponseRecorder {
	f.t.Helper()
	return b.get(f.answer(b, user, unchanged), "Sec-Fetch-Site: cross-site")
}

func ana() *mockoidc.MockUser {
	return &mockoidc.MockUser{Subject: "17", Email: "ana@example.org", EmailVerified: true, Groups: []string{"engineering"}}
}

func TestPersonSignsInByOIDCWithTheRoleOfTheSettings(t *testing.T) {
	t.Parallel()
	f := newOIDCFixture(t, "OIDC_VIEWERS=engineering", "OIDC_ADMINS=Ana@Example.org, other@example.org")
	b := f.browser(console)
	answer := f.signIn(b, ana())
	require.Equal(t, http.StatusSeeOther, answer.Code, answer.Body.String())
	require.Equal(t, "/customers/acme", answer.Header().Get("Location"))
	require.Equal(t, "user:ana@example.org", b.who())
	require.Equal(t, http.StatusOK, b.do(http.MethodPost, "/customers/globex/pause", url.Values{}).Code, "an administrator may act")

	ben := f.browser(console)
	require.Equal(t, http.StatusSeeOther, f.signIn(ben, &mockoidc.MockUser{Subject: "18", Groups: []string{"engineering"}}).Code)
	require.Equal(t, "user:18", ben.who())
	require.Equal(t, http.StatusForbidden, ben.do(http.MethodPost, "/customers/globex/pause", url.Values{}).Code, "a viewer may only look")
	require.NotContains(t, f.log.String(), f.issuer.ClientSecret)
}

func TestPersonWithoutARoleIsNotLetIn(t *testing.T) {
	t.Parallel()
	f := newOIDCFixture(t, "OIDC_OPERATORS=ops,ana@example.org")
	for name, user := range map[string]*mockoidc.MockUser{
		"in no list":                {Subject: "1", Email: "eve@example.org", EmailVerified: true, Groups: []string{"design"}},
		"address not verified":      {Subject: "2", Email: "ana@example.org"},
		"group like an address":     {Subject: "3", Groups: []string{"ana@example.org"}},
		"group of another spelling": {Subject: "4", Groups: []string{"Ops", "ops\nadmins"}},
	} {
		b := f.browser(console)
		require.Equal(t, http.StatusForbidden, f.signIn(b, user).Code, name)
		require.Empty(t, b.who(), name)
	}
	require.NotContains(t, f.log.String(), "eve@example.org")
}

func TestRoleIsComparedAtEachRequest(t *testing.T) {
	t.Parallel()
	f := newOIDCFixture(t, "OIDC_ADMINS=ana@example.org")
	b := f.browser(console)
	f.signIn(b, ana())
	require.Equal(t, "user:ana@example.org", b.who())
	f.guard.issuer.roles = []namedRole{{Viewer, []string{"ben@example.org"}}} // as after a restart with other settings
	require.Empty(t, b.who())
}

func TestAnswersThatTheBrowserDidNotAskForAreRejected(t *testing.T) {
	t.Parallel()
	f := newOIDCFixture(t, "OIDC_ADMINS=ana@example.org")
	set := func(name, value string) func(url.Values) {
		return func(asked url.Values) { asked.Set(name, value) }
	}
	for name, change := range map[string]func(url.Values){
		"another nonce":     set("nonce", "of-an-attacker"),
		"no nonce":          func(asked url.Values) { asked.Del("nonce") },
		"another state":     set("state", "of-an-attacker"),
		"another challenge": set("code_challenge", "of-an-attacker"),
	} {
		b := f.browser(console)
		require.Equal(t, http.StatusUnauthorized, b.get(f.answer(b, ana(), change)).Code, name)
		require.Empty(t, b.who(), name)
	}

	began, other := f.browser(console), f.browser(console)
	path := f.answer(began, ana(), unchanged)
	require.Equal(t, http.StatusUnauthorized, other.get(path).Code, "of another browser")
	require.Equal(t, http.StatusSeeOther, began.get(path).Code)
	require.Equal(t, http.StatusUnauthorized, began.get(path).Code, "a second time")
	require.Equal(t, http.StatusUnauthorized, f.browser(console).get("/sign-in/oidc/callback?error=access_denied").Code)
	b := f.browser(console)
	path = f.answer(b, ana(), unchanged)
	require.Equal(t, http.StatusUnauthorized, b.get(strings.Replace(path, "code=", "code=x", 1)).Code, "a forged code")
}

// otherClaims is a user whose id token is changed before it is signed.
type otherClaims struct {
	*mockoidc.MockUser

	change func(claims *mockoidc.IDTokenClaims)
}

// Claims returns the changed claims.
func (u otherClaims) Claims(scope []string, claims *mockoidc.IDTokenClaims) (jwt.Claims, error) {
	u.change(claims)
	return u.MockUser.Claims(scope, claims)
}

func TestTokensForOthersAreRejected(t *testing.T) {
	t.Parallel()
	f := newOIDCFixture(t, "OIDC_ADMINS=ana@example.org")
	for name, change := range map[string]func(*mockoidc.IDTokenClaims){
		"another audience": func(claims *mockoidc.IDTokenClaims) { claims.Audience = jwt.ClaimStrings{"another-client"} },
		"another issuer":   func(claims *mockoidc.IDTokenClaims) { claims.Issuer = "https://evil.example" },
		"expired": func(claims *mockoidc.IDTokenClaims) {
			claims.ExpiresAt = jwt.NewNumericDate(claims.IssuedAt.AddDate(0, 0, -1))
		},
	} {
		b := f.browser(console)
		require.Equal(t, http.StatusUnauthorized, f.signIn(b, otherClaims{ana(), change}).Code, name)
		require.Empty(t, b.who(), name)
	}
}

func TestIssuerThatDoesNotAnswerIsAskedAgain(t *testing.T) {
	t.Parallel()
	f := newOIDCFixture(t, "OIDC_ADMINS=ana@example.org")
	address := f.guard.issuer.url
	f.guard.issuer.url = "http://127.0.0.1:1/oidc"
	b := f.browser(console)
	require.Equal(t, http.StatusBadGateway, b.get("/sign-in/oidc").Code)
	f.guard.issuer.url = address
	require.Equal(t, http.StatusSeeOther, f.signIn(b, ana()).Code)
}
