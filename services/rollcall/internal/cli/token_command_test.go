package cli

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

func TestTokenAddPrintsTheTokenAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("tokens", "add", func(_ int, data []byte) (any, string) {
		var asked operatorapi.TokenAddition
		if json.Unmarshal(data, &asked) != nil || asked.Name != "ana" || asked.Role != "operator" || asked.LifeSeconds != 90*24*3600 || asked.CustomerID != "acme" {
			return "a bad question", service.CodeBadRequest
		}
		return operatorapi.TokenAdded{
			APIToken: operatorapi.APIToken{ID: 1, Name: "ana", Rights: []string{"read", "letters"}, State: operatorapi.GrantValid, ExpiresAt: new(testTime)},
			Secret:   "rct_secret",
		}, noCode
	})
	got := f.run("token", "add", "ana", "--role", "operator", "--customer", "acme", "--for", "90d")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "rct_secret\n", got.stdout)
	require.Contains(t, got.stderr, "ana may read, letters until ")
}

func TestTokenAddNeedsARoleOrRights(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, args := range [][]string{
		{"token", "add", "ana"}, {"token", "add"}, {"token", "add", "ana", "--role", "viewer", "--for", "soon"},
		{"token", "add", "ana", "--role", "viewer", "--for", "-1d"}, {"token", "add", "ana", "--role", "viewer", "--for", "99999999d"},
		{"link"}, {"link", "acme", "--for", "91d"}, {"link", "revoke", "x"}, {"link", "revoke", "0"}, {"token"},
	} {
		require.Equal(t, exitUsage, f.run(args...).code, args)
	}
}

func TestTokensAreListedAndRevoked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("tokens", "ls", always(operatorapi.TokensReply{Tokens: []operatorapi.APIToken{
		{ID: 2, Name: "ci", CustomerID: new("acme"), Rights: []string{"read"}, State: operatorapi.GrantExpired, CreatedAt: testTime, ExpiresAt: new(testTime)},
		{ID: 1, Name: "ana", Rights: []string{"read", "admin"}, State: operatorapi.GrantValid, CreatedAt: testTime},
	}}))
	got := f.run("token", "ls")
	require.Zero(t, got.code, got.stderr)
	require.Regexp(t, `(?m)^ci +expired +acme +read +`, got.stdout)
	require.Regexp(t, `(?m)^ana +valid +all +read,admin +\S+ \S+ UTC +- +-$`, got.stdout)

	f.answers("tokens", "revoke", func(_ int, data []byte) (any, string) {
		var asked operatorapi.TokenRevocation
		if json.Unmarshal(data, &asked) != nil || asked.Name != "ana" {
			return "not found", service.CodeNotFound
		}
		return operatorapi.GrantEnded{ID: 1}, noCode
	})
	require.Equal(t, "ana: revoked, at once\n", f.run("token", "revoke", "ana").stdout)
	got = f.run("token", "revoke", "ben")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, `no token "ben"`)
}

func TestLinkPrintsTheAddressAlone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("links", "add", func(_ int, data []byte) (any, string) {
		var asked operatorapi.LinkAddition
		if json.Unmarshal(data, &asked) != nil || asked.CustomerID != "acme" || asked.LifeSeconds != int64(7*24*time.Hour/time.Second) || len(asked.Rights) != 2 {
			return "not found", service.CodeNotFound
		}
		return operatorapi.LinkAdded{
			Link: operatorapi.Link{ID: 17, CustomerID: "acme", Rights: []string{"read", "token"}, ExpiresAt: testTime}, URL: "https://c.example/l/rcl_x",
		}, noCode
	})
	got := f.run("link", "acme", "--may", "token,letters")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "https://c.example/l/rcl_x\n", got.stdout)
	require.Contains(t, got.stderr, "Link 17 of acme may read, token until ")
	require.Contains(t, f.run("link", "initech").stderr, `customer "initech" is not known`)
}

func TestLinksAreListedAndRevoked(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("links", "ls", func(_ int, data []byte) (any, string) {
		var asked operatorapi.LinksQuestion
		if json.Unmarshal(data, &asked) != nil || asked.CustomerID != "acme" {
			return "a bad question", service.CodeBadRequest
		}
		return operatorapi.LinksReply{Links: []operatorapi.Link{
			{ID: 17, CustomerID: "acme", Rights: []string{"read", "token"}, State: operatorapi.GrantValid, CreatedAt: testTime, ExpiresAt: testTime},
		}}, noCode
	})
	got := f.run("link", "ls", "acme")
	require.Zero(t, got.code, got.stderr)
	require.Regexp(t, `(?m)^17 +acme +valid +read,token +`, got.stdout)
	f.answers("links", "revoke", func(_ int, data []byte) (any, string) {
		var asked operatorapi.LinkRevocation
		if json.Unmarshal(data, &asked) != nil || asked.ID != 17 {
			return "not found", service.CodeNotFound
		}
		return operatorapi.GrantEnded{ID: 17, CustomerID: new("acme")}, noCode
	})
	require.Equal(t, "link 17 of acme: revoked, at once\n", f.run("link", "revoke", "17").stdout)
	require.Contains(t, f.run("link", "revoke", "18").stderr, "no link 18")
}
