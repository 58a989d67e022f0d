package virtuous

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"rollcall.dev/pkg/endpoint"
	"rollcall.dev/pkg/fault"
)

var (
	// ErrRefreshRefused: Virtuous gives no access token for this refresh token. It is an ErrUnauthorized.
	ErrRefreshRefused = refusedGrantError{"Virtuous rejected the refresh token"}
	// ErrVerification: Virtuous asks for the code of a two-step verification, which only a person has. It is an ErrUnauthorized.
	ErrVerification = refusedGrantError{"Virtuous asks for the code of a two-step verification instead of giving an access token"}
)

type refusedGrantError struct{ text string }

func (r refusedGrantError) Error() string { return r.text }
func (refusedGrantError) Unwrap() error   { return ErrUnauthorized }

// Grant is what Virtuous gives for a refresh token.
type Grant struct {
	Access    string
	Refresh   string        // asks for the next one; the one that was given if the answer has none
	IsRotated bool          // Refresh is not the one that was given
	Life      time.Duration // of the access token
}

// Limits of the life of an access token. Virtuous documents 15 days.
const (
	shortestLife = time.Minute
	longestLife  = 30 * 24 * time.Hour
	unknownLife  = 24 * time.Hour // the answer does not say: too short costs a request, too long costs an answer 401
	maxGrant     = 64 << 10       // bytes of a token
)

// RefreshAfter returns after which time the next access token is to be asked for: a day before the end, or a tenth of the life.
func (g Grant) RefreshAfter() time.Duration { return g.Life - min(24*time.Hour, g.Life/10) }

// Refresh asks for a new access token. It makes one attempt. Virtuous may replace the refresh token with each answer: the caller must store
// what it returns, because the one before may be worth nothing any more. cfg.Key is not used, and cfg.Answered is not called: the quota that
// the header may name is not known to be that of the API.
func Refresh(ctx context.Context, cfg Config, refreshToken string) (Grant, error) {
	if err := endpoint.CheckCredential("refresh token", refreshToken); err != nil {
		return Grant{}, err
	}
	cfg.Key, cfg.Answered, cfg.Customer, cfg.Renew = "none", nil, nil, nil
	c, err := New(cfg)
	if err != nil {
		return Grant{}, err
	}
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refreshToken}}
	one := call{method: http.MethodPost, path: []string{"Token"}, body: []byte(form.Encode()), use: UseSubmit, isGrant: true}
	r, err := c.do(ctx, one)
	if err == nil {
		err = grantFault(r, one)
	}
	if err != nil {
		return Grant{}, fmt.Errorf("refresh the access token: %w", err)
	}
	grant, err := grantOf(r)
	if err != nil {
		return Grant{}, fmt.Errorf("refresh the access token: %w", err)
	}
	if grant.Refresh == "" {
		grant.Refresh = refreshToken
	}
	grant.IsRotated = grant.Refresh != refreshToken
	return grant, nil
}

// grantFault returns the fault of an answer to a refresh, nil for a success. The body decides only whether a person is asked for a code, and
// whether a status 400 is about the token.
func grantFault(r reply, one call) error {
	named := ""
	if value, isJSON := document(r.body); isJSON && value.IsObject() {
		named = strings.ToLower(value.Get("error").String())
	}
	refused := func(code string, err error) error {
		return fault.Unknown(code, &AnswerError{Status: r.status, RequestID: r.requestID, err: err})
	}
	switch {
	case r.status == http.StatusAccepted, named == "awaiting_verification" && r.status < 500:
		return refused("virtuous_awaiting_verification", ErrVerification)
	case r.status == http.StatusUnauthorized, r.status == http.StatusBadRequest && isGrantError(named):
		return refused("virtuous_refresh_refused", ErrRefreshRefused)
	}
	one.body = nil // what a complaint quotes of the request is the token
	if err := statusFault(reply{status: r.status, requestID: r.requestID, after: r.after}, one); err != nil {
		return err
	}
	if r.status != http.StatusOK {
		return unknownAnswer(r, "it is no answer to a refresh")
	}
	return nil
}

// isGrantError reports whether a code says that the same request has the same answer again (RFC 6749, section 5.2).
func isGrantError(code string) bool {
	switch code {
	case "invalid_grant", "invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_request", "invalid_scope":
		return true
	}
	return false
}

// grantOf reads an answer. Errors name fields, and no value.
func grantOf(r reply) (Grant, error) {
	value, isJSON := document(r.body)
	if !isJSON || !value.IsObject() {
		return Grant{}, unknownAnswer(r, "it is no JSON object")
	}
	if kind := value.Get("token_type"); !isNone(kind) && !strings.EqualFold(kind.String(), "bearer") {
		return Grant{}, unknownAnswer(r, "token_type is not bearer")
	}
	grant := Grant{Life: lifeOf(value)}
	for _, one := range []struct {
		field    string
		into     *string
		optional bool
	}{{"access_token", &grant.Access, false}, {"refresh_token", &grant.Refresh, true}} {
		found := value.Get(one.field)
		if one.optional && (isNone(found) || found.Type == gjson.String && found.Str == "") {
			continue
		}
		if found.Type != gjson.String || len(found.Str) > maxGrant || endpoint.CheckCredential(one.field, found.Str) != nil {
			return Grant{}, unknownAnswer(r, one.field+" is no token")
		}
		*one.into = found.Str
	}
	return grant, nil
}

// lifeOf returns how long the access token of an answer lives, by expires_in, or else by the times that the answer names.
func lifeOf(value gjson.Result) time.Duration {
	life := time.Duration(0)
	if seconds, err := strconv.ParseFloat(strings.TrimSpace(value.Get("expires_in").String()), 64); err == nil && seconds > 0 {
		life = time.Duration(min(seconds, longestLife.Seconds()) * float64(time.Second))
	} else {
		issued, errIssued := http.ParseTime(value.Get(`\.issued`).String())
		expires, errExpires := http.ParseTime(value.Get(`\.expires`).String())
		if errors.Join(errIssued, errExpires) == nil {
			life = expires.Sub(issued)
		}
	}
	if life <= 0 {
		return unknownLife
	}
	return min(max(life, shortestLife), longestLife)
}
