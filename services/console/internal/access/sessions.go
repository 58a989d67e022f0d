package access

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/alexedwards/scs/v2"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/store"
)

// Values of a session: the id of an API token or a link, or a person and the names by which the settings may give a role.
const (
	keyGrant = "grant"
	keyUser  = "user"
	keyNames = "names"
)

func newSessions(on *store.Store, settings config.Config) *scs.SessionManager {
	sessions := &scs.SessionManager{ // scs.New starts a store in memory, which would never end
		Store: sessionStore{store: on, idle: settings.ConsoleSessionIdle}, Codec: scs.GobCodec{}, HashTokenInStore: true,
		Lifetime: settings.ConsoleSessionAge, Cookie: scs.SessionCookie{Name: "rollcall_session"},
	}
	if strings.HasPrefix(settings.ConsolePublicURL, "https://") {
		sessions.Cookie.Secure = true
		sessions.Cookie.Name = "__Host-" + sessions.Cookie.Name // no other host of the domain can set it
	}
	return sessions
}

// bySession returns the principal of a cookie; the zero Principal if its session has ended, or what it stands for.
func (g *Guard) bySession(ctx context.Context, cookie string) (Principal, error) {
	ctx, err := g.sessions.Load(ctx, cookie)
	if err != nil {
		return Principal{}, err
	}
	if user := g.sessions.GetString(ctx, keyUser); user != "" && g.issuer != nil {
		return g.issuer.principalOf(user, strings.Split(g.sessions.GetString(ctx, keyNames), "\n")), nil
	}
	id := g.sessions.GetInt64(ctx, keyGrant)
	if id == 0 {
		return Principal{}, nil
	}
	row, err := g.store.GrantByID(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return Principal{}, nil
	}
	if err != nil {
		return Principal{}, err
	}
	principal := principalOf(store.Grant(row))
	principal.Browser = true
	return principal, nil
}

// begin begins a session with a new cookie: one that another site may have put into the browser is worth nothing afterwards. until is when
// it ends at the latest, zero for the usual time.
func (g *Guard) begin(w http.ResponseWriter, r *http.Request, values map[string]any, until time.Time, framed bool) error {
	cookie, err := r.Cookie(g.sessions.Cookie.Name)
	old := ""
	if err == nil {
		old = cookie.Value
	}
	ctx, err := g.sessions.Load(r.Context(), old)
	if err != nil {
		return err
	}
	if err := errors.Join(g.sessions.Clear(ctx), g.sessions.RenewToken(ctx)); err != nil {
		return err
	}
	g.sessions.SetDeadline(ctx, time.Now().Add(g.sessions.Lifetime).UTC())
	if !until.IsZero() {
		g.sessions.SetDeadline(ctx, until.UTC())
	}
	for key, value := range values {
		g.sessions.Put(ctx, key, value)
	}
	token, expiry, err := g.sessions.Commit(ctx)
	if err != nil {
		return err
	}
	http.SetCookie(w, g.cookie(token, expiry, framed))
	return nil
}

// cookie returns the cookie of a session. framed makes one that browsers keep in a frame of another site, apart for each such site.
func (g *Guard) cookie(token string, expiry time.Time, framed bool) *http.Cookie {
	usual := g.sessions.Cookie
	cookie := &http.Cookie{
		Name: usual.Name, Value: token, Path: "/", HttpOnly: true, Secure: usual.Secure, SameSite: http.SameSiteLaxMode, Expires: expiry,
		MaxAge: max(1, int(time.Until(expiry).Seconds())),
	}
	if framed && usual.Secure && len(g.ancestors) > 0 {
		cookie.SameSite, cookie.Partitioned = http.SameSiteNoneMode, true
	}
	return cookie
}

// end ends the session of a request.
func (g *Guard) end(w http.ResponseWriter, r *http.Request) error {
	cookie, err := r.Cookie(g.sessions.Cookie.Name)
	if err != nil {
		return nil //nolint:nilerr // it has none
	}
	ctx, err := g.sessions.Load(r.Context(), cookie.Value)
	if err == nil {
		err = g.sessions.Destroy(ctx)
	}
	if err != nil {
		return err
	}
	gone := g.cookie("", time.Unix(1, 0), isLink(From(r.Context())))
	gone.MaxAge = -1
	http.SetCookie(w, gone)
	return nil
}

// sessionStore keeps sessions in Postgres. The tokens that it gets are hashes.
type sessionStore struct {
	store *store.Store
	idle  time.Duration
}

// FindCtx returns the data of a session, and notes that it is used, once a minute.
func (s sessionStore) FindCtx(ctx context.Context, token string) (data []byte, found bool, err error) {
	row, err := s.store.ConsoleSession(ctx, token, s.idle)
	if errors.Is(err, store.ErrNotFound) {
		return nil, false, nil
	}
	if err == nil && row.Stale {
		err = s.store.NoteConsoleSessionSeen(ctx, token)
	}
	return row.Data, err == nil, err
}

// CommitCtx stores a session. It is a new one: begin renews the token before it commits.
func (s sessionStore) CommitCtx(ctx context.Context, token string, data []byte, expiry time.Time) error {
	return s.store.AddConsoleSession(ctx, token, data, time.Until(expiry))
}

// DeleteCtx deletes a session.
func (s sessionStore) DeleteCtx(ctx context.Context, token string) error {
	return s.store.DeleteConsoleSession(ctx, token)
}

// Find is for stores without a context, as Commit and Delete are. scs never calls them for this one.
func (s sessionStore) Find(token string) (data []byte, found bool, err error) {
	return s.FindCtx(context.Background(), token)
}

// Commit is as CommitCtx.
func (s sessionStore) Commit(token string, data []byte, expiry time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expiry)
}

// Delete is as DeleteCtx.
func (s sessionStore) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }
