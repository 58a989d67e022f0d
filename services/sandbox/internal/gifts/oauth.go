package gifts

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// OAuth is how an organisation's tokens stand, beside its API key. The newest access token alone is accepted.
type OAuth struct {
	Rotates        bool `json:"rotates"`        // each refresh replaces the refresh token
	AccessSeconds  int  `json:"accessSeconds"`  // the life of an access token
	RefreshSeconds int  `json:"refreshSeconds"` // the life of a refresh token, from its last use on
	Verification   bool `json:"verification"`   // the account has two-step verification: a refresh answers 202

	Refresh   string    `json:"refreshToken"` // "": revoked
	RefreshTo time.Time `json:"refreshExpiresAt"`
	Access    string    `json:"accessToken"` // "": none, or revoked
	AccessTo  time.Time `json:"accessExpiresAt"`
	Grants    int       `json:"grants"` // refreshes that succeeded
	Issued    int       `json:"issued"` // refresh tokens so far
}

// Reasons why a refresh gives nothing.
var (
	ErrNoGrant      = errors.New("is no refresh token that is accepted")
	ErrVerification = errors.New("needs a code")
)

const (
	accessSeconds  = 15 * 24 * 60 * 60
	refreshSeconds = 365 * 24 * 60 * 60
)

// issue replaces the refresh token.
func (a *OAuth) issue(name string) {
	a.Issued++
	a.Refresh = fmt.Sprintf("v_sandbox-%s-refresh-%d", name, a.Issued)
}

func (a *OAuth) extend(now time.Time) {
	a.RefreshTo = now.Add(time.Duration(a.RefreshSeconds) * time.Second)
}

// OAuthOf returns how the organisation's tokens stand.
func (o *Organisation) OAuthOf(now time.Time) OAuth {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.oauth(now)
}

// oauth returns the tokens as they are; the first question makes the first refresh token.
func (o *Organisation) oauth(now time.Time) OAuth {
	if o.s.OAuth == nil {
		made := OAuth{Rotates: true, AccessSeconds: accessSeconds, RefreshSeconds: refreshSeconds}
		made.issue(o.s.Name)
		made.extend(now)
		o.s.OAuth = &made
		o.changes++
	}
	return *o.s.OAuth
}

// OAuthChange is what /control changes. Absent fields stay.
type OAuthChange struct {
	Rotates        *bool `json:"rotates"`
	AccessSeconds  *int  `json:"accessSeconds"`
	RefreshSeconds *int  `json:"refreshSeconds"`
	Verification   *bool `json:"verification"`

	RevokeAccess  bool `json:"revokeAccess"`  // 401 from now on; the refresh token stays
	RevokeRefresh bool `json:"revokeRefresh"` // invalid_grant from now on; the access token stays
	NewRefresh    bool `json:"newRefresh"`    // as if the customer signed in again: another refresh token
}

// ChangeOAuth changes how tokens are given, and revokes them. Errors: ErrInvalid.
func (o *Organisation) ChangeOAuth(change OAuthChange, now time.Time) (OAuth, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	changed := o.oauth(now)
	for _, one := range []struct {
		to   *int
		into *int
	}{{change.AccessSeconds, &changed.AccessSeconds}, {change.RefreshSeconds, &changed.RefreshSeconds}} {
		if one.to != nil && *one.to <= 0 {
			return OAuth{}, fmt.Errorf("the life of a token: %w", ErrInvalid)
		}
		if one.to != nil {
			*one.into = *one.to
		}
	}
	for _, one := range []struct {
		to   *bool
		into *bool
	}{{change.Rotates, &changed.Rotates}, {change.Verification, &changed.Verification}} {
		if one.to != nil {
			*one.into = *one.to
		}
	}
	if change.RevokeAccess {
		changed.Access = ""
	}
	if change.RevokeRefresh {
		changed.Refresh = ""
	}
	if change.NewRefresh {
		changed.issue(o.s.Name)
		changed.extend(now)
	}
	o.s.OAuth = &changed
	o.changes++
	return changed, nil
}

// Grant gives a new access token for a refresh token. Errors: ErrNoGrant, ErrVerification.
func (o *Organisation) Grant(refreshToken string, now time.Time) (OAuth, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	granted := o.oauth(now)
	switch {
	case refreshToken == "" || granted.Refresh != refreshToken || !now.Before(granted.RefreshTo):
		return OAuth{}, fmt.Errorf("the token: %w", ErrNoGrant)
	case granted.Verification:
		return OAuth{}, fmt.Errorf("the account: %w", ErrVerification)
	}
	granted.Grants++
	granted.Access = fmt.Sprintf("v_sandbox-%s-access-%d", o.s.Name, granted.Grants)
	granted.AccessTo = now.Add(time.Duration(granted.AccessSeconds) * time.Second)
	if granted.Rotates {
		granted.issue(o.s.Name)
	}
	granted.extend(now)
	o.s.OAuth = &granted
	o.changes++
	return granted, nil
}

// acceptsAccess reports whether a token is the organisation's access token now.
func (o *Organisation) acceptsAccess(token string, now time.Time) bool {
	o.mu.RLock()
	defer o.mu.RUnlock()
	has := o.s.OAuth
	return has != nil && token != "" && has.Access == token && now.Before(has.AccessTo)
}

// hasRefresh reports whether a token is the organisation's refresh token.
func (o *Organisation) hasRefresh(token string, now time.Time) bool {
	return token != "" && o.OAuthOf(now).Refresh == token
}

// WithAccess returns the organisation of an API key or an access token, or nil.
func (d *Directory) WithAccess(token string, now time.Time) *Organisation {
	if found := d.Bearing(token); found != nil {
		return found
	}
	return d.first(func(o *Organisation) bool { return o.acceptsAccess(token, now) })
}

// WithRefresh returns the organisation of a refresh token, or nil.
func (d *Directory) WithRefresh(token string, now time.Time) *Organisation {
	return d.first(func(o *Organisation) bool { return o.hasRefresh(token, now) })
}

func (d *Directory) first(is func(*Organisation) bool) *Organisation {
	all := d.All()
	if at := slices.IndexFunc(all, is); at >= 0 {
		return all[at]
	}
	return nil
}
