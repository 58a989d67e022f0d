package store

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store/internal/db"
)

// VirtuousKey is what a customer's requests to Virtuous are sent with.
type VirtuousKey struct {
	Sealed  []byte
	IsOAuth bool // Sealed is an access token, and the fields below are about it; otherwise it is an API key

	Version   uuid.UUID    // of the pair of tokens
	IsDue     bool         // the next pair is to be asked for
	IsExpired bool         // by what Virtuous said of its life
	IsNew     bool         // it was obtained within the last minute
	IsLeased  bool         // a process asks for the next pair
	Failure   OAuthFailure // why the last refresh failed, while nothing is asked because of it; "" otherwise
}

// OAuthFailure is why Virtuous gave no new tokens.
type OAuthFailure string

// Failures of a refresh, and how long nothing is asked after them.
const (
	OAuthRefused      OAuthFailure = "refused"      // Virtuous rejects the refresh token: half an hour
	OAuthVerification OAuthFailure = "verification" // Virtuous asks the account for a code that only a person has: until another token is given
	OAuthUnavailable  OAuthFailure = "unavailable"  // an outage: a minute
)

// VirtuousKey returns the key or access token of the customer; ErrNotFound if there is none.
func (c Conn) VirtuousKey(ctx context.Context, customer string) (VirtuousKey, error) {
	row, err := c.queries.VirtuousKey(ctx, c.dbtx, customer)
	if err != nil {
		return VirtuousKey{}, err
	}
	return VirtuousKey{
		Sealed: row.Sealed, IsOAuth: row.IsOauth, Version: row.Version, IsDue: row.IsDue, IsExpired: row.IsExpired, IsNew: row.IsNew,
		IsLeased: row.IsLeased, Failure: OAuthFailure(row.Failure),
	}, nil
}

// OAuthLease is the right to ask Virtuous for the pair that follows a version.
type OAuthLease struct {
	Customer      string
	Version       uuid.UUID
	RefreshSealed []byte // the refresh token

	until time.Time
}

// ClaimOAuth leases the refresh of a version; ErrNotFound if another process has the lease, the pair is another one by now, or nothing is to
// be asked yet after a failure.
func (c Conn) ClaimOAuth(ctx context.Context, customer string, version uuid.UUID, lease time.Duration) (OAuthLease, error) {
	row, err := c.queries.OAuthClaimIfCurrent(ctx, c.dbtx, &db.OAuthClaimIfCurrentParams{CustomerID: customer, Version: version, Lease: lease})
	if err != nil {
		return OAuthLease{}, err
	}
	return OAuthLease{Customer: customer, Version: version, RefreshSealed: row.Sealed, until: row.LeasedUntil}, nil
}

// OAuthTimes says how long an access token lives, and after which part of that the next one is asked for.
type OAuthTimes struct{ Life, RefreshAfter time.Duration }

// SaveOAuthPair replaces both tokens of the lease's version; saved is false if that version is no more. It does not ask whether the lease
// still holds: no other process has this pair.
func (t *Tx) SaveOAuthPair(ctx context.Context, lease OAuthLease, accessSealed, refreshSealed []byte, times OAuthTimes) (saved bool, err error) {
	rows, err := t.queries.OAuthSaveIfCurrent(ctx, t.dbtx, &db.OAuthSaveIfCurrentParams{
		CustomerID: lease.Customer, Version: lease.Version, AccessSealed: accessSealed, RefreshSealed: refreshSealed,
		Life: times.Life, RefreshAfter: times.RefreshAfter,
	})
	return rows > 0, err
}

// FailOAuth ends a lease with a failure. pause is how long Virtuous asked to wait after an outage. noted is false if the lease holds no more.
func (c Conn) FailOAuth(ctx context.Context, lease OAuthLease, failure OAuthFailure, pause time.Duration) (noted bool, err error) {
	rows, err := c.queries.OAuthFailIfLeased(ctx, c.dbtx, &db.OAuthFailIfLeasedParams{
		CustomerID: lease.Customer, Version: lease.Version, LeasedUntil: lease.until, Failure: string(failure), Pause: pause,
	})
	return rows > 0, err
}

// ReleaseOAuth ends a lease under which nothing was asked.
func (c Conn) ReleaseOAuth(ctx context.Context, lease OAuthLease) error {
	return c.queries.OAuthReleaseIfLeased(ctx, c.dbtx, &db.OAuthReleaseIfLeasedParams{
		CustomerID: lease.Customer, Version: lease.Version, LeasedUntil: lease.until,
	})
}

// OAuthPair is the first pair of tokens of a customer, sealed. GivenSealed is the refresh token of the onboarding request.
type OAuthPair struct {
	AccessSealed, RefreshSealed, GivenSealed []byte
	Times                                    OAuthTimes
}

// SaveOAuth stores the first pair of tokens that was obtained for a customer. It replaces an API key, and an earlier pair.
func (t *Tx) SaveOAuth(ctx context.Context, customer string, pair OAuthPair) error {
	err := t.queries.OAuthUpsert(ctx, t.dbtx, &db.OAuthUpsertParams{CustomerID: customer, Life: pair.Times.Life, RefreshAfter: pair.Times.RefreshAfter})
	if err != nil {
		return err
	}
	for _, one := range []struct {
		name   string
		sealed []byte
	}{
		{CredentialVirtuousToken, pair.AccessSealed}, {CredentialVirtuousRefreshToken, pair.RefreshSealed}, {CredentialVirtuousRefreshGiven, pair.GivenSealed},
	} {
		if err := t.SaveCredential(ctx, customer, one.name, one.sealed); err != nil {
			return err
		}
	}
	return nil
}

// ForgetOAuth deletes the refresh token. The access token stays: it is replaced, or deleted, as an API key is.
func (t *Tx) ForgetOAuth(ctx context.Context, customer string) error {
	return t.queries.OAuthForget(ctx, t.dbtx, customer)
}

// OAuthState is what an operator may see of a customer's tokens.
type OAuthState struct {
	AccessExpiresAt time.Time
	RefreshedAt     time.Time
}

// OAuth returns the state of a customer's tokens; ErrNotFound if the customer has an API key, or no giving.
func (c Conn) OAuth(ctx context.Context, customer string) (OAuthState, error) {
	row, err := c.queries.OAuthOf(ctx, c.dbtx, customer)
	if err != nil {
		return OAuthState{}, err
	}
	return OAuthState{AccessExpiresAt: row.AccessExpiresAt, RefreshedAt: row.RefreshedAt}, nil
}
