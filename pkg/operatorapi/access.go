package operatorapi

import "time"

// MaxLinkLife is the longest life of a customer's link, and DefaultLinkLife the usual one.
const (
	MaxLinkLife     = 90 * 24 * time.Hour
	DefaultLinkLife = 7 * 24 * time.Hour
)

// MaxGrants is the largest number of API tokens or links in one page.
const MaxGrants = 100

// APIToken is one line of `rollcall token ls`.
type APIToken struct {
	ID         int64      `json:"id"`
	Name       string     `json:"name"`
	CustomerID *string    `json:"customerId"` // the only customer that it sees; null: all
	Rights     []string   `json:"rights"`
	State      string     `json:"state"` // valid, expired or revoked
	CreatedAt  time.Time  `json:"createdAt"`
	ExpiresAt  *time.Time `json:"expiresAt"` // null: never
	RevokedAt  *time.Time `json:"revokedAt"`
	UsedAt     *time.Time `json:"usedAt"` // to a minute; null: never
}

// States of an API token and of a link.
const (
	GrantValid   = "valid"
	GrantExpired = "expired"
	GrantRevoked = "revoked"
)

// TokenAddition asks rollcall.api.tokens.add for an API token. It has a role, or rights one by one.
type TokenAddition struct {
	Name        string   `json:"name"`
	Role        string   `json:"role,omitempty"`       // viewer, operator or admin
	Rights      []string `json:"rights,omitempty"`     // besides read
	CustomerID  string   `json:"customerId,omitempty"` // the only customer that it sees; absent: all
	LifeSeconds int64    `json:"lifeSeconds,omitempty"`
}

// TokenAdded has the token, which is shown this once.
type TokenAdded struct {
	APIToken

	Secret string `json:"secret"`
}

// TokensQuestion asks rollcall.api.tokens.ls for API tokens, newest first.
type TokensQuestion struct {
	CustomerID string `json:"customerId,omitempty"` // only those of this customer alone
	Before     int64  `json:"before,omitempty"`     // ids below this one: the Next of the page before
	Limit      int32  `json:"limit,omitempty"`      // at most MaxGrants, which is the default
}

// TokensReply is one page; Next is null on the last.
type TokensReply struct {
	Tokens []APIToken `json:"tokens"`
	Next   *int64     `json:"next"`
}

// TokenRevocation asks rollcall.api.tokens.revoke to end an API token, and the sessions that were begun with it.
type TokenRevocation struct {
	Name string `json:"name"`
}

// GrantEnded answers a revocation.
type GrantEnded struct {
	ID         int64   `json:"id"`
	CustomerID *string `json:"customerId"`
}

// Link is one line of `rollcall link ls`.
type Link struct {
	ID         int64      `json:"id"`
	CustomerID string     `json:"customerId"`
	Rights     []string   `json:"rights"`
	State      string     `json:"state"` // valid, expired or revoked
	CreatedAt  time.Time  `json:"createdAt"`
	ExpiresAt  time.Time  `json:"expiresAt"`
	RevokedAt  *time.Time `json:"revokedAt"`
	UsedAt     *time.Time `json:"usedAt"` // to a minute; null: never
}

// LinkAddition asks rollcall.api.links.add for a customer's link.
type LinkAddition struct {
	CustomerID  string   `json:"customerId"`
	Rights      []string `json:"rights,omitempty"`      // of token, letters, review, donors and pause; none: it may only look
	LifeSeconds int64    `json:"lifeSeconds,omitempty"` // at most 90 days; absent: 7 days
}

// LinkAdded has the address, which is shown this once.
type LinkAdded struct {
	Link

	URL string `json:"url"`
}

// LinksQuestion asks rollcall.api.links.ls for links, newest first.
type LinksQuestion struct {
	CustomerID string `json:"customerId,omitempty"` // absent: of all
	Before     int64  `json:"before,omitempty"`     // ids below this one: the Next of the page before
	Limit      int32  `json:"limit,omitempty"`      // at most MaxGrants, which is the default
}

// LinksReply is one page; Next is null on the last.
type LinksReply struct {
	Links []Link `json:"links"`
	Next  *int64 `json:"next"`
}

// LinkRevocation asks rollcall.api.links.revoke to end a link, and the sessions that were begun with it.
type LinkRevocation struct {
	ID int64 `json:"id"`
}
