package access

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

func bearer(secret string) string { return "Authorization: Bearer " + secret }

func TestTokenAnswersUntilItIsRevokedOrExpires(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ever := f.token(operatorapi.TokenAddition{Name: "robot", Role: "viewer"})
	short := f.token(operatorapi.TokenAddition{Name: "short", Rights: []string{"letters"}, LifeSeconds: 3600})
	require.True(t, strings.HasPrefix(ever.Secret, "rct_"))
	b := f.browser(console)
	require.Equal(t, "token:robot", b.get("/api/v1/who", bearer(ever.Secret)).Body.String())
	require.Equal(t, "token:short", b.get("/api/v1/who", bearer(short.Secret)).Body.String())

	f.advance(61 * time.Minute)
	require.Equal(t, http.StatusUnauthorized, b.get("/api/v1/who", bearer(short.Secret)).Code)
	_, err := f.revokeToken(t.Context(), operatorapi.TokenRevocation{Name: "robot"})
	require.NoError(t, err)
	answer := b.get("/api/v1/who", bearer(ever.Secret))
	require.Equal(t, http.StatusUnauthorized, answer.Code)
	require.Equal(t, "application/problem+json", answer.Header().Get("Content-Type"))
	require.NotContains(t, answer.Body.String(), ever.Secret)

	listed, err := f.listTokens(t.Context(), operatorapi.TokensQuestion{})
	require.NoError(t, err)
	require.Len(t, listed.Tokens, 2)
	require.Equal(t, []string{"short", operatorapi.GrantExpired}, []string{listed.Tokens[0].Name, listed.Tokens[0].State})
	require.Equal(t, []string{"robot", operatorapi.GrantRevoked}, []string{listed.Tokens[1].Name, listed.Tokens[1].State})
	require.NotNil(t, listed.Tokens[1].UsedAt)
	f.token(operatorapi.TokenAddition{Name: "robot", Role: "viewer"}) // the name is free again
}

func TestForgedTokensAreRejected(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	good := f.token(operatorapi.TokenAddition{Name: "robot", Role: "admin"}).Secret
	_, link := f.link(operatorapi.LinkAddition{CustomerID: "acme"})
	b := f.browser(console)
	for name, header := range map[string]string{
		"another secret":     "Bearer " + good[:len(good)-3] + "AAA",
		"cut":                "Bearer " + good[:20],
		"longer":             "Bearer " + good + "A",
		"no prefix":          "Bearer " + strings.TrimPrefix(good, "rct_"),
		"the secret of link": "Bearer " + strings.TrimPrefix(link, "/l/"),
		"link as token":      "Bearer rct_" + strings.TrimPrefix(link, "/l/rcl_"),
		"basic":              "Basic " + good,
		"empty":              "Bearer ",
		"nonsense":           "x",
	} {
		require.Equal(t, http.StatusUnauthorized, b.get("/api/v1/who", "Authorization: "+header).Code, name)
	}
	require.Equal(t, http.StatusUnauthorized, b.get("/api/v1/who").Code)
	require.Equal(t, http.StatusSeeOther, b.get("/customers/acme").Code)
	require.Equal(t, "/sign-in?next=%2Fcustomers%2Facme%3Fa%3Db", b.get("/customers/acme?a=b").Header().Get("Location"))
}

func TestSecretsAreStoredAsHashesOnly(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	secret := f.token(operatorapi.TokenAddition{Name: "robot", Role: "admin"}).Secret
	_, link := f.link(operatorapi.LinkAddition{CustomerID: "acme"})
	b := f.browser(console)
	require.Equal(t, http.StatusSeeOther, b.get(link).Code)
	require.Equal(t, http.StatusUnauthorized, b.get("/api/v1/who", bearer(secret+"x")).Code)
	var rows string
	require.NoError(t, f.pool.QueryRow(t.Context(),
		`SELECT (SELECT jsonb_agg(g)::text FROM access_grants g) || (SELECT jsonb_agg(s)::text FROM console_sessions s)`).
		Scan(&rows))
	cookie := b.jar.Cookies(b.base)[0].Value
	for _, hidden := range []string{secret, strings.TrimPrefix(link, "/l/"), cookie} {
		require.NotContains(t, rows, hidden)
		require.NotContains(t, rows, hidden[4:])
		require.NotContains(t, f.log.String(), hidden)
	}
}

func TestTokenOfOneCustomerSeesNoOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	secret := f.token(operatorapi.TokenAddition{Name: "acme-only", Role: "operator", CustomerID: "acme"}).Secret
	b := f.browser(console)
	require.Equal(t, http.StatusOK, b.get("/customers/acme", bearer(secret)).Code)
	require.Equal(t, http.StatusNotFound, b.get("/customers/globex", bearer(secret)).Code)
}

func TestInvalidTokensAreNotAdded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.token(operatorapi.TokenAddition{Name: "robot", Role: "viewer"})
	for name, asked := range map[string]operatorapi.TokenAddition{
		"name":             {Name: "ro bot", Role: "viewer"},
		"no name":          {Role: "viewer"},
		"role":             {Name: "x", Role: "root"},
		"right":            {Name: "x", Rights: []string{"everything"}},
		"both":             {Name: "x", Role: "viewer", Rights: []string{"letters"}},
		"life":             {Name: "x", Role: "viewer", LifeSeconds: -1},
		"admin of one":     {Name: "x", Role: "admin", CustomerID: "acme"},
		"short life":       {Name: "x", Role: "viewer", LifeSeconds: 1},
		"much longer life": {Name: "x", Role: "viewer", LifeSeconds: 1 << 62},
	} {
		_, err := f.addToken(t.Context(), asked)
		var fields *service.FieldsError
		require.ErrorAs(t, err, &fields, name)
	}
	_, err := f.addToken(t.Context(), operatorapi.TokenAddition{Name: "robot", Role: "viewer"})
	_, isConflict := errors.AsType[*service.ConflictError](err)
	require.True(t, isConflict)
	_, err = f.addToken(t.Context(), operatorapi.TokenAddition{Name: "x", Role: "viewer", CustomerID: "initech"})
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = f.revokeToken(t.Context(), operatorapi.TokenRevocation{Name: "unknown"})
	require.ErrorIs(t, err, store.ErrNotFound)
}
