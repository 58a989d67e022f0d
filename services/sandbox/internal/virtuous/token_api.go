package virtuous

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/faults"
	"rollcall.dev/services/sandbox/internal/gifts"
	"rollcall.dev/services/sandbox/internal/traffic"
)

// token answers POST /Token, which is beside /api, takes a form and spends no quota. It knows the grant refresh_token alone: rollcall never
// has a password.
func (a *API) token(plain http.ResponseWriter, r *http.Request) {
	now := a.NowFunc()
	body, err := answer.BodyUpTo(plain, r, maxBody)
	form, formErr := url.ParseQuery(string(body))
	given := form.Get("refresh_token")
	name, found := Unknown, a.Organisations.WithRefresh(given, now)
	if found != nil {
		name = found.Identity().Name
	}
	a.Ledger.Arrive(name)
	w := traffic.Record(plain, func(outcome string) { a.Ledger.Answered(name, outcome) })
	w.Header().Set("X-Request-ID", fmt.Sprintf("sandbox-%016x", a.requests.Add(1)))
	refuse := func(code string) {
		answer.JSON(w, http.StatusBadRequest, map[string]string{"error": code, "error_description": "The request was rejected."})
	}
	switch {
	case !a.Gate.Pass(w, r, faults.Request{Name: name, Operation: "token"}):
		return
	case errors.Join(err, formErr) != nil, !strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded"):
		refuse("invalid_request")
		return
	case form.Get("grant_type") != "refresh_token":
		refuse("unsupported_grant_type")
		return
	case found == nil:
		refuse("invalid_grant")
		return
	}
	granted, err := found.Grant(given, now)
	switch {
	case errors.Is(err, gifts.ErrVerification):
		answer.JSON(w, http.StatusAccepted, map[string]string{
			"error": "awaiting_verification", "error_description": "2-step verification code (OTP) sent.",
		})
	case err != nil:
		refuse("invalid_grant")
	default:
		answer.JSON(w, http.StatusOK, map[string]any{
			"access_token": granted.Access, "token_type": "bearer", "expires_in": granted.AccessSeconds - 1, "refresh_token": granted.Refresh,
			"userName": "pat.office@example.org", "twoFactorEnabled": "False",
			".issued": now.UTC().Format(http.TimeFormat), ".expires": granted.AccessTo.UTC().Format(http.TimeFormat),
		})
	}
}
