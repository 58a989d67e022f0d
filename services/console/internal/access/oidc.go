package access

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"go.uber.org/zap"
	"golang.org/x/oauth2"

	"rollcall.dev/pkg/config"
)

const (
	// signInWithin is how long a person may stay at the issuer.
	signInWithin  = 10 * time.Minute
	issuerTimeout = 10 * time.Second
	callbackPath  = "/sign-in/oidc/callback"
	oidcCookie    = "rollcall_oidc"
)

// issuer signs people in by OpenID Connect. A person has no role unless the settings name their verified address or one of their groups.
type issuer struct {
	url, clientID, secret, redirect, groups string
	roles                                   []namedRole
	client                                  *http.Client

	mu       sync.Mutex
	provider *oidc.Provider // nil until the issuer has answered
}

// namedRole says which addresses and groups have a role.
type namedRole struct {
	role  Role
	names []string
}

// newIssuer returns nil if OIDC is not set up.
func newIssuer(settings config.Config) *issuer {
	if settings.OIDCIssuer == "" {
		return nil
	}
	return &issuer{
		url: settings.OIDCIssuer, clientID: settings.OIDCClientID, secret: settings.OIDCClientSecret, redirect: settings.ConsoleURL() + callbackPath,
		groups: settings.OIDCGroupsClaim, client: &http.Client{Timeout: issuerTimeout},
		roles: []namedRole{ // the one with most rights first
			{Administrator, config.List(settings.OIDCAdmins)}, {Operator, config.List(settings.OIDCOperators)}, {Viewer, config.List(settings.OIDCViewers)},
		},
	}
}

// roleOf returns the role of a person, "" for none. Addresses are compared without regard to case, groups as they are.
func (i *issuer) roleOf(names []string) Role {
	for _, one := range i.roles {
		if slices.ContainsFunc(one.names, func(wanted string) bool {
			return slices.ContainsFunc(names, func(name string) bool {
				return name == wanted || (strings.Contains(wanted, "@") && strings.EqualFold(name, wanted))
			})
		}) {
			return one.role
		}
	}
	return ""
}

// principalOf returns who a person of a session is; the zero Principal if the settings give no role any more.
func (i *issuer) principalOf(user string, names []string) Principal {
	role := i.roleOf(names)
	if role == "" {
		return Principal{}
	}
	return Principal{ID: "user:" + user, Name: user, Rights: role.Rights(), Browser: true}
}

// discover reads what the issuer says about itself, once. An issuer that does not answer is asked again at the next sign-in.
func (i *issuer) discover(ctx context.Context) (*oidc.Provider, *oauth2.Config, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.provider == nil {
		// The provider keeps the context for as long as it fetches keys.
		provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), i.client), i.url)
		if err != nil {
			return nil, nil, fmt.Errorf("ask OIDC_ISSUER: %w", err)
		}
		i.provider = provider
	}
	return i.provider, &oauth2.Config{
		ClientID: i.clientID, ClientSecret: i.secret, Endpoint: i.provider.Endpoint(), RedirectURL: i.redirect,
		Scopes: i.scopes(i.provider),
	}, nil
}

// scopes asks for groups only where the issuer knows that scope: others refuse the whole request.
func (i *issuer) scopes(provider *oidc.Provider) []string {
	scopes := []string{oidc.ScopeOpenID, "email", "profile"}
	var supported struct {
		Scopes []string `json:"scopes_supported"`
	}
	if provider.Claims(&supported) == nil && slices.Contains(supported.Scopes, "groups") {
		scopes = append(scopes, "groups")
	}
	return scopes
}

// journey is what a browser keeps while its person is at the issuer.
type journey struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"` // of PKCE
	Next     string `json:"next"`
}

func (g *Guard) journeyCookie(value string, maxAge int) *http.Cookie {
	name := oidcCookie
	if g.sessions.Cookie.Secure {
		name = "__Host-" + name
	}
	return &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge, HttpOnly: true, Secure: g.sessions.Cookie.Secure, SameSite: http.SameSiteLaxMode,
	}
}

func (g *Guard) startOIDC(w http.ResponseWriter, r *http.Request) {
	if !g.attempts.allow(r) {
		w.Header().Set("Retry-After", "60")
		g.problemPage(w, r, http.StatusTooManyRequests, tooOften)
		return
	}
	_, settings, err := g.issuer.discover(r.Context())
	if err != nil {
		g.logger.Warn("the issuer does not answer", zap.Error(err))
		g.problemPage(w, r, http.StatusBadGateway, "the sign-in service does not answer: try again")
		return
	}
	on := journey{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: localPath(r.URL.Query().Get("next"))}
	text, err := json.Marshal(on)
	if err != nil {
		g.problemPage(w, r, http.StatusInternalServerError, "signing in cannot begin")
		return
	}
	http.SetCookie(w, g.journeyCookie(base64.RawURLEncoding.EncodeToString(text), int(signInWithin.Seconds())))
	http.Redirect(w, r, settings.AuthCodeURL(on.State, oidc.Nonce(on.Nonce), oauth2.S256ChallengeOption(on.Verifier)), http.StatusSeeOther)
}

func (g *Guard) finishOIDC(w http.ResponseWriter, r *http.Request) {
	if !g.attempts.allow(r) {
		w.Header().Set("Retry-After", "60")
		g.problemPage(w, r, http.StatusTooManyRequests, tooOften)
		return
	}
	on, err := g.journeyOf(r)
	http.SetCookie(w, g.journeyCookie("", -1)) // it is good for one answer of the issuer
	var who *person
	if err == nil {
		who, err = g.issuer.person(r, on)
	}
	if err != nil {
		g.logger.Warn("a person was not signed in", zap.Error(err))
		g.problemPage(w, r, http.StatusUnauthorized, "you are not signed in: the answer of the sign-in service was not accepted; try again")
		return
	}
	if g.issuer.roleOf(who.names) == "" {
		g.logger.Warn("a person who signed in has no role")
		g.problemPage(w, r, http.StatusForbidden, "you are known, but may not use this console: ask for a role")
		return
	}
	err = g.begin(w, r, map[string]any{keyUser: who.user, keyNames: strings.Join(who.names, "\n")}, time.Time{}, false)
	if err != nil {
		g.logger.Warn("a person could not sign in", zap.Error(err))
		g.problemPage(w, r, http.StatusServiceUnavailable, noAnswer)
		return
	}
	http.Redirect(w, r, localPath(on.Next), http.StatusSeeOther)
}

// journeyOf returns what the browser kept; an error unless the issuer's answer belongs to it.
func (g *Guard) journeyOf(r *http.Request) (journey, error) {
	cookie, err := r.Cookie(g.journeyCookie("", 0).Name)
	if err != nil {
		return journey{}, errors.New("the browser did not begin to sign in")
	}
	var on journey
	text, err := base64.RawURLEncoding.DecodeString(cookie.Value)
	if err != nil || json.Unmarshal(text, &on) != nil || on.State == "" || on.Nonce == "" || on.Verifier == "" {
		return journey{}, errors.New("the cookie of the sign-in is damaged")
	}
	if subtle.ConstantTimeCompare([]byte(on.State), []byte(r.URL.Query().Get("state"))) != 1 {
		return journey{}, errors.New("the state is another one")
	}
	return on, nil
}

// person is who signed in. names are what a setting may name: the verified address, and groups.
type person struct {
	user  string
	names []string
}

// person exchanges the code of the issuer's answer, and checks the id token: signature, issuer, audience, expiry and nonce. No error quotes
// an answer.
func (i *issuer) person(r *http.Request, on journey) (*person, error) {
	code := r.URL.Query().Get("code")
	if code == "" {
		return nil, errors.New("the issuer signed no person in")
	}
	provider, settings, err := i.discover(r.Context())
	if err != nil {
		return nil, err
	}
	ctx := oidc.ClientContext(r.Context(), i.client)
	token, err := settings.Exchange(ctx, code, oauth2.VerifierOption(on.Verifier))
	if err != nil {
		return nil, errors.New("the issuer did not accept the code")
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return nil, errors.New("the issuer sent no id token")
	}
	checked, err := provider.VerifierContext(ctx, &oidc.Config{ClientID: i.clientID}).Verify(ctx, raw)
	if err != nil {
		return nil, errors.New("the id token is not valid")
	}
	if subtle.ConstantTimeCompare([]byte(checked.Nonce), []byte(on.Nonce)) != 1 {
		return nil, errors.New("the nonce is another one")
	}
	var claims struct {
		Email    string `json:"email"`
		Verified bool   `json:"email_verified"`
	}
	if err := checked.Claims(&claims); err != nil || checked.Subject == "" {
		return nil, errors.New("the id token has no readable claims")
	}
	who := &person{user: checked.Subject, names: i.groupsOf(checked)}
	if claims.Email != "" && claims.Verified {
		who.user = claims.Email
		who.names = append(who.names, claims.Email)
	}
	return who, nil
}

// groupsOf returns the groups of a person. A name with an @ is none: it could be the address of another person.
func (i *issuer) groupsOf(token *oidc.IDToken) []string {
	var claims map[string]json.RawMessage
	if token.Claims(&claims) != nil {
		return nil
	}
	var groups []string
	if json.Unmarshal(claims[i.groups], &groups) != nil {
		var one string
		if json.Unmarshal(claims[i.groups], &one) != nil {
			return nil
		}
		groups = []string{one}
	}
	return slices.DeleteFunc(groups, func(group string) bool { return group == "" || strings.ContainsAny(group, "@\n") })
}
