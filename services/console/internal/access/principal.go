package access

import (
	"context"
	"slices"
)

// Right is what a principal may do. Roles, the scopes of API tokens and the rights of links are sets of them.
type Right string

// Rights. A link may have Token, Letters, Review, Donors and Pause besides Read.
const (
	Read      Right = "read"      // see everything except donors' details
	Letters   Right = "letters"   // retry and discard letters
	Review    Right = "review"    // decide review items
	Deletions Right = "deletions" // approve, reject and undo deletions
	Donors    Right = "donors"    // see donors' details; each look is audited
	Token     Right = "token"     // replace the customer's VOMO token or Virtuous key
	Pause     Right = "pause"     // pause and resume the customer
	Donations Right = "donations" // submit, retry and close donations and contacts
	Customers Right = "customers" // onboard, change settings, start backfills, polls and reconciliations, resync users
	Admin     Right = "admin"     // offboard, and administer links, API tokens and endpoints
)

// Role is a named set of rights, for people who sign in.
type Role string

// Roles. Each has the rights of the one before.
const (
	Viewer        Role = "viewer"
	Operator      Role = "operator"
	Administrator Role = "admin"
)

// Rights returns the rights of a role, none for an unknown one.
func (r Role) Rights() []Right {
	switch r {
	case Viewer:
		return []Right{Read}
	case Operator:
		return []Right{Read, Letters, Review, Deletions, Donors, Token, Pause, Donations, Customers}
	case Administrator:
		return append(Operator.Rights(), Admin)
	}
	return nil
}

// Principal is who sends a request.
type Principal struct {
	ID       string  // for the audit: user:…, token:…, link:…, or local
	Name     string  // as pages show it
	Customer string  // the only customer it sees; "": all
	Rights   []Right // never empty for a request that was let in
	Browser  bool    // it has a session, which it can end by signing out
}

// May reports whether the principal has a right.
func (p Principal) May(right Right) bool { return slices.Contains(p.Rights, right) }

// Sees reports whether the principal may see a customer.
func (p Principal) Sees(customer string) bool { return p.Customer == "" || p.Customer == customer }

type principalKey struct{}

// With returns a context of a request by the principal.
func With(ctx context.Context, principal Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, principal)
}

// From returns who sends the request. The zero Principal has no right.
func From(ctx context.Context) Principal {
	principal, ok := ctx.Value(principalKey{}).(Principal)
	if !ok {
		return Principal{}
	}
	return principal
}
