package access

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/alexedwards/scs/v2"
	"go.uber.org/zap"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/store"
)

// Kinds of grants.
const (
	kindToken = "token"
	kindLink  = "link"
)

// maxBody is the longest body of a request, as NATS limits the question that is made of it.
const maxBody = 1 << 20

// errBadCredentials means that a request has credentials of its own choice that are not valid. A cookie that has expired is no such case:
// its request has no credentials.
var errBadCredentials = errors.New("the credentials are not valid")

// Guard finds out who sends a request.
type Guard struct {
	store      *store.Store
	logger     *zap.Logger
	sessions   *scs.SessionManager
	protection *http.CrossOriginProtection
	attempts   *attempts
	page       SignInPage
	issuer     *issuer // nil: OIDC is not set up

	publicURL string
	ancestors []string // sites that may show customers' pages in a frame
	local     bool     // requests from this machine may read without credentials
}

// Options are what a Guard needs.
type Options struct {
	Store    *store.Store
	Logger   *zap.Logger
	Settings config.Config
	Page     SignInPage // nil: a plain page
}

// New returns a guard by the settings.
func New(options Options) (*Guard, error) {
	settings := options.Settings
	ancestors, err := settings.FrameAncestors()
	if err != nil {
		return nil, err
	}
	guard := &Guard{
		store: options.Store, logger: options.Logger, protection: http.NewCrossOriginProtection(), attempts: newAttempts(), page: options.Page,
		publicURL: settings.ConsoleURL(), ancestors: ancestors, local: isLocal(settings),
		issuer: newIssuer(settings),
	}
	guard.sessions = newSessions(options.Store, settings)
	if guard.page == nil {
		guard.page = plainPage{}
	}
	if guard.publicURL != "" {
		if err := guard.protection.AddTrustedOrigin(guard.publicURL); err != nil {
			return nil, errors.New("CONSOLE_PUBLIC_URL is no origin")
		}
	}
	return guard, nil
}

// Middleware puts the principal of a request into its context, the zero Principal if there is none. It rejects wrong credentials and
// cross-site requests that change something, sets the security headers, and limits the body. What a principal may do is checked by
// next: see Require.
func (g *Guard) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.setHeaders(w, false)
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		principal, err := g.Authenticate(r)
		switch {
		case errors.Is(err, errBadCredentials):
			w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`)
			problem(w, r, http.StatusUnauthorized, "the API token is not valid: it may have expired, or have been revoked")
			return
		case err != nil:
			g.logger.Warn("a request could not be authenticated", zap.Error(err))
			problem(w, r, http.StatusServiceUnavailable, "the database does not answer; try again")
			return
		}
		// A browser sends cookies, and the address of this machine, with other sites' requests too. It does not send API tokens.
		if r.Header.Get("Authorization") == "" {
			if err := g.protection.Check(r); err != nil {
				problem(w, r, http.StatusForbidden, "the request comes from another site")
				return
			}
		}
		if isLink(principal) {
			g.setHeaders(w, true)
		}
		next.ServeHTTP(w, r.WithContext(With(r.Context(), principal)))
	})
}

// Authenticate returns who sends a request, the zero Principal if it has no credentials. A page that stays open asks again, so that
// it ends when its link is revoked.
func (g *Guard) Authenticate(r *http.Request) (Principal, error) {
	if header := r.Header.Get("Authorization"); header != "" {
		return g.byToken(r.Context(), header)
	}
	if cookie, err := r.Cookie(g.sessions.Cookie.Name); err == nil && cookie.Value != "" {
		principal, err := g.bySession(r.Context(), cookie.Value)
		if err != nil || principal.ID != "" {
			return principal, err
		}
	}
	if g.local && fromThisMachine(r) {
		return Principal{ID: "local", Name: "this machine", Rights: []Right{Read}}, nil
	}
	return Principal{}, nil
}

func (g *Guard) byToken(ctx context.Context, header string) (Principal, error) {
	scheme, text, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return Principal{}, errBadCredentials
	}
	grant, err := g.grantBySecret(ctx, kindToken, strings.TrimSpace(text))
	if errors.Is(err, store.ErrNotFound) {
		return Principal{}, errBadCredentials
	}
	if err != nil {
		return Principal{}, err
	}
	return principalOf(grant), nil
}

// grantBySecret returns the API token or the link with a secret; ErrNotFound if there is no valid one.
func (g *Guard) grantBySecret(ctx context.Context, kind, text string) (store.Grant, error) {
	prefix := tokenPrefix
	if kind == kindLink {
		prefix = linkPrefix
	}
	hash, ok := hashOf(prefix, text)
	if !ok {
		return store.Grant{}, store.ErrNotFound
	}
	grant, err := g.store.GrantBySecret(ctx, hash)
	if err != nil {
		return store.Grant{}, err
	}
	if grant.Kind != kind {
		return store.Grant{}, store.ErrNotFound
	}
	return grant, g.store.NoteGrantUsed(ctx, grant.ID)
}

func principalOf(grant store.Grant) Principal {
	principal := Principal{ID: kindLink + ":" + strconv.FormatInt(grant.ID, 10)}
	for _, right := range grant.Rights {
		principal.Rights = append(principal.Rights, Right(right))
	}
	if grant.Customer != nil {
		principal.Customer = *grant.Customer
		principal.Name = "link of " + principal.Customer
	}
	if grant.Name != nil {
		principal.ID, principal.Name = kindToken+":"+*grant.Name, *grant.Name
	}
	return principal
}
