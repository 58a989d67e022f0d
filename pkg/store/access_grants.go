package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// NewGrant is an API token or a link that is added.
type NewGrant struct {
	Kind       string // token or link
	Name       string // of a token
	Customer   string // the only one that it sees; "": all
	Rights     []string
	SecretHash []byte
	Life       time.Duration // 0: it never expires
}

// AddedGrant is what the database gave a new grant.
type AddedGrant struct {
	ID        int64
	CreatedAt time.Time
	ExpiresAt *time.Time // nil: never
}

// AddGrant adds an API token or a link. ErrNotFound means that there is no such customer, or that a token has the name already. An
// offboarding at the same time deletes it.
func (c Conn) AddGrant(ctx context.Context, grant NewGrant) (AddedGrant, error) {
	row, err := c.queries.GrantAdd(ctx, c.dbtx, &db.GrantAddParams{
		Kind: grant.Kind, Name: given(grant.Name), CustomerID: given(grant.Customer), Rights: grant.Rights, SecretHash: grant.SecretHash, Life: grant.Life,
	})
	if err != nil {
		return AddedGrant{}, err
	}
	return AddedGrant{ID: row.ID, CreatedAt: row.CreatedAt, ExpiresAt: row.ExpiresAt}, nil
}
