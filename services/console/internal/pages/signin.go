package pages

import (
	"net/http"

	"rollcall.dev/services/console/internal/access"
)

// SignInPage shows the page on which people sign in, or what became of their link.
func (s *Site) SignInPage(w http.ResponseWriter, r *http.Request, view access.SignInView) {
	page := Page{Title: "Sign in", Fragments: []Fragment{{"sign-in", signInBody(view)}}}
	if view.Link {
		page.Title = "Your link"
	}
	s.write(w, r, access.Principal{}, view.Status, page)
}
