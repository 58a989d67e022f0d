package access

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/store"
)

// SignInView is what the sign-in page shows.
type SignInView struct {
	Status  int    // of the answer
	Problem string // what went wrong; "" at first
	Next    string // the path that the person wants, for the form's field next
	OIDC    bool   // signing in through the issuer, at /sign-in/oidc, is set up
	Link    bool   // the person came by a customer's link, so the page offers no other way
}

// SignInPage shows the sign-in page: a form that posts token and next to /sign-in.
type SignInPage interface {
	SignInPage(w http.ResponseWriter, r *http.Request, view SignInView)
}

// Routes adds the pages of signing in and out, and the exchange of links. Middleware stands before them.
func (g *Guard) Routes(mux *http.ServeMux) {
	mux.HandleFunc("GET /sign-in", g.showSignIn)
	mux.HandleFunc("POST /sign-in", g.signIn)
	mux.HandleFunc("POST /sign-out", g.signOut)
	mux.HandleFunc("GET /l/{token}", g.exchangeLink)
	if g.issuer != nil {
		mux.HandleFunc("GET /sign-in/oidc", g.startOIDC)
		mux.HandleFunc("GET /sign-in/oidc/callback", g.finishOIDC)
	}
}

func (g *Guard) showSignIn(w http.ResponseWriter, r *http.Request) {
	g.page.SignInPage(w, r, SignInView{Status: http.StatusOK, Next: localPath(r.URL.Query().Get("next")), OIDC: g.issuer != nil})
}

// problemPage shows the sign-in page with what went wrong.
func (g *Guard) problemPage(w http.ResponseWriter, r *http.Request, status int, text string) {
	g.page.SignInPage(w, r, SignInView{Status: status, Problem: text, Next: localPath(r.FormValue("next")), OIDC: g.issuer != nil})
}

const (
	tooOften = "too many attempts: wait a minute, then try again"
	noAnswer = "the database does not answer: try again"
)

func (g *Guard) signIn(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		g.page.SignInPage(w, r, SignInView{Status: http.StatusBadRequest, Problem: "the form could not be read", Next: "/", OIDC: g.issuer != nil})
		return
	}
	if !g.attempts.allow(r) {
		w.Header().Set("Retry-After", "60")
		g.problemPage(w, r, http.StatusTooManyRequests, tooOften)
		return
	}
	grant, err := g.grantBySecret(r.Context(), kindToken, strings.TrimSpace(r.PostFormValue("token")))
	if errors.Is(err, store.ErrNotFound) {
		g.problemPage(w, r, http.StatusUnauthorized, "this is no API token that is valid: rollcall token ls shows which are")
		return
	}
	if err == nil {
		err = g.begin(w, r, map[string]any{keyGrant: grant.ID}, earlier(grant.ExpiresAt, g.sessions.Lifetime), false)
	}
	if err != nil {
		g.logger.Warn("a person could not sign in", zap.Error(err))
		g.problemPage(w, r, http.StatusServiceUnavailable, noAnswer)
		return
	}
	http.Redirect(w, r, localPath(r.PostFormValue("next")), http.StatusSeeOther)
}

// earlier returns the end of something if it is before the usual end, the zero time otherwise.
func earlier(end *time.Time, usual time.Duration) time.Time {
	if end == nil || time.Until(*end) > usual {
		return time.Time{}
	}
	return *end
}

func (g *Guard) signOut(w http.ResponseWriter, r *http.Request) {
	if err := g.end(w, r); err != nil {
		g.logger.Warn("a person could not sign out", zap.Error(err))
		problem(w, r, http.StatusServiceUnavailable, noAnswer)
		return
	}
	http.Redirect(w, r, "/sign-in", http.StatusSeeOther)
}

// exchangeLink gives a browser a session in exchange for the secret of a link, and leads it to the customer's page: the secret is then in no
// address that the browser shows, keeps or sends on.
func (g *Guard) exchangeLink(w http.ResponseWriter, r *http.Request) {
	g.setHeaders(w, true)
	if !g.attempts.allow(r) {
		w.Header().Set("Retry-After", "60")
		g.page.SignInPage(w, r, SignInView{Status: http.StatusTooManyRequests, Problem: tooOften, Next: "/", Link: true})
		return
	}
	grant, err := g.grantBySecret(r.Context(), kindLink, r.PathValue("token"))
	if errors.Is(err, store.ErrNotFound) || (err == nil && grant.Customer == nil) {
		const text = "this link has ended: ask for a new one where you got it"
		g.page.SignInPage(w, r, SignInView{Status: http.StatusNotFound, Problem: text, Next: "/", Link: true})
		return
	}
	// A person who is signed in stays signed in: another site must not be able to take their session away.
	principal := From(r.Context())
	staysSignedIn := principal.Browser && !isLink(principal) && principal.Sees(customerOf(grant))
	if err == nil && !staysSignedIn {
		until := time.Time{}
		if grant.ExpiresAt != nil {
			until = *grant.ExpiresAt
		}
		err = g.begin(w, r, map[string]any{keyGrant: grant.ID}, until, true)
	}
	if err != nil {
		g.logger.Warn("a link could not be exchanged", zap.Error(err))
		g.page.SignInPage(w, r, SignInView{Status: http.StatusServiceUnavailable, Problem: noAnswer, Next: "/", Link: true})
		return
	}
	http.Redirect(w, r, "/customers/"+customerOf(grant), http.StatusSeeOther)
}

func isLink(principal Principal) bool { return strings.HasPrefix(principal.ID, kindLink+":") }

func customerOf(grant store.Grant) string {
	if grant.Customer == nil {
		return ""
	}
	return *grant.Customer
}

// localPath returns a path of the console, "/" for anything that leads elsewhere.
func localPath(text string) string {
	target, err := url.Parse(text)
	if err != nil || target.IsAbs() || target.Host != "" || target.User != nil || !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") ||
		strings.ContainsAny(text, "\\\r\n\t") {
		return "/"
	}
	return target.RequestURI()
}

// plainPage is a sign-in page without style.
type plainPage struct{}

// SignInPage shows the form.
func (plainPage) SignInPage(w http.ResponseWriter, _ *http.Request, view SignInView) {
	page, err := template.New("").Parse(plainText)
	if err != nil {
		http.Error(w, view.Problem, http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(view.Status)
	_ = page.Execute(w, view) // the client has closed the connection
}

const plainText = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in - rollcall</title></head><body><main>
<h1>rollcall</h1>
{{with .Problem}}<p role="alert">{{.}}</p>{{end}}
{{if not .Link}}
{{if .OIDC}}<p><a href="/sign-in/oidc?next={{.Next}}">Sign in</a></p>{{end}}
<form method="post" action="/sign-in">
<input type="hidden" name="next" value="{{.Next}}">
<p><label for="token">API token</label> <input id="token" name="token" type="password" autocomplete="off" required></p>
<p><button>Sign in</button></p>
</form>
{{end}}
</main></body></html>
`
