package access

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
)

// Require passes on requests of principals with a right. Others are answered: pages by the sign-in page, the API by a problem document.
func Require(right Right, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !From(r.Context()).May(right) {
			Refuse(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// Refuse answers a request whose principal may not do what it asks for.
func Refuse(w http.ResponseWriter, r *http.Request) {
	principal := From(r.Context())
	switch {
	case principal.ID == "" && !isAPI(r) && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		http.Redirect(w, r, "/sign-in?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
	case principal.ID == "":
		w.Header().Set("WWW-Authenticate", `Bearer realm="rollcall"`)
		problem(w, r, http.StatusUnauthorized, "sign in, or send an API token: Authorization: Bearer rct_…")
	case principal.ID == "local":
		problem(w, r, http.StatusForbidden, "without signing in you may look, and nothing else: sign in, or send an API token")
	default:
		problem(w, r, http.StatusForbidden, principal.Name+" does not have the right to do this")
	}
}

func isAPI(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, "/api/") }

// problem answers with an error: a problem document for the API, a line of text otherwise.
func problem(w http.ResponseWriter, r *http.Request, status int, detail string) {
	if !isAPI(r) {
		http.Error(w, detail, status)
		return
	}
	text, err := json.Marshal(struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{http.StatusText(status), status, detail})
	if err != nil {
		text = []byte(`{}`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(text) // the client has closed the connection
}
