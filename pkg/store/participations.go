package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// Participations are what VOMO showed of a user's participations when it was last asked.
type Participations struct {
	VomoID        string
	Digest        []byte // keyed, of the entries and the profile fields
	SummaryDigest []byte // keyed, of what a destination gets
	SentDigest    []byte // of what the destination has; nil if it has nothing, or, when it is saved, what it had
	Sealed        []byte // with the customer's data key
}

// ParticipationsOf returns what is known of these users' participations, by VOMO id.
func (c Conn) ParticipationsOf(ctx context.Context, customer string, vomoIDs []string) (map[string]Participations, error) {
	if len(vomoIDs) == 0 {
		return map[string]Participations{}, nil
	}
	rows, err := c.queries.ParticipationsFor(ctx, c.dbtx, &db.ParticipationsForParams{CustomerID: customer, Ids: vomoIDs})
	known := make(map[string]Participations, len(rows))
	for _, row := range rows {
		known[row.VomoUserID] = Participations{
			VomoID: row.VomoUserID, Digest: row.Digest, SummaryDigest: row.SummaryDigest, SentDigest: row.SentDigest, Sealed: row.Sealed,
		}
	}
	return known, err
}

// SaveParticipations saves what VOMO showed of one user's participations. A pipelined transaction defers it.
func (t *Tx) SaveParticipations(ctx context.Context, customer string, read Participations) error {
	return t.deferred(func(on db.DBTX) error {
		return t.queries.ParticipationsUpsert(ctx, on, &db.ParticipationsUpsertParams{
			CustomerID: customer, VomoUserID: read.VomoID, Digest: read.Digest, SummaryDigest: read.SummaryDigest, SentDigest: read.SentDigest,
			Sealed: read.Sealed,
		})
	})
}

// TouchParticipations notes that VOMO was asked about a user and that nothing has changed. A pipelined transaction defers it.
func (t *Tx) TouchParticipations(ctx context.Context, customer, vomoID string) error {
	return t.deferred(func(on db.DBTX) error {
		return t.queries.ParticipationsTouch(ctx, on, &db.ParticipationsTouchParams{CustomerID: customer, VomoUserID: vomoID})
	})
}

// SentParticipations notes what the destination has of users' participations, by VOMO id. A pipelined transaction defers it.
func (t *Tx) SentParticipations(ctx context.Context, customer string, digests map[string][]byte) error {
	if len(digests) == 0 {
		return nil
	}
	params := &db.ParticipationsSentParams{CustomerID: customer}
	for id, digest := range digests {
		params.Ids, params.Digests = append(params.Ids, id), append(params.Digests, digest)
	}
	return t.deferred(func(on db.DBTX) error { return t.queries.ParticipationsSent(ctx, on, params) })
}

// ForgetParticipations deletes those of users behind one id, and up to another, that the destination does not have; "" for upTo is
// the end. A pipelined transaction defers it.
func (t *Tx) ForgetParticipations(ctx context.Context, customer, after, upTo string) error {
	return t.deferred(func(on db.DBTX) error {
		return t.queries.ParticipationsForgetUnmapped(ctx, on, &db.ParticipationsForgetUnmappedParams{
			CustomerID: customer, After: after, UpTo: given(upTo),
		})
	})
}

// DeleteParticipations deletes up to atMost of the customer's rows and returns how many it deleted. It also forgets that there was a
// cycle.
func (t *Tx) DeleteParticipations(ctx context.Context, customer string, atMost int32) (int64, error) {
	deleted, err := t.queries.ParticipationsDelete(ctx, t.dbtx, &db.ParticipationsDeleteParams{CustomerID: customer, AtMost: atMost})
	if err != nil {
		return 0, err
	}
	return deleted, t.queries.SyncConfigForgetParticipations(ctx, t.dbtx, &db.SyncConfigForgetParticipationsParams{
		CustomerID: customer, IsLast: deleted < int64(atMost),
	})
}

// DeleteUnreadParticipations deletes up to atMost rows of one customer whose participations are no longer read; more says that there
// may be others.
func (s *Store) DeleteUnreadParticipations(ctx context.Context, atMost int32) (more bool, err error) {
	err = s.InTx(ctx, func(ctx context.Context, tx *Tx) error {
		customer, err := tx.queries.SyncConfigTakeParticipationsOff(ctx, tx.dbtx)
		if isNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		more = true // of this customer, or of another one
		_, err = tx.DeleteParticipations(ctx, customer, atMost)
		return err
	})
	return more && err == nil, err
}

// StopParticipations has DeleteUnreadParticipations look for the customer's rows once more, because a cycle has just ended.
func (t *Tx) StopParticipations(ctx context.Context, customer string) error {
	return t.queries.SyncConfigStopParticipations(ctx, t.dbtx, customer)
}

// UserToRefresh is a user that the destination has, with the time of its version.
type UserToRefresh struct {
	VomoID    string
	UpdatedAt time.Time
}

// UsersToRefresh returns up to limit users that the destination has and whose ids come after the given one, in order.
func (c Conn) UsersToRefresh(ctx context.Context, customer, after string, limit int32) ([]UserToRefresh, error) {
	rows, err := c.queries.MappingsAfter(ctx, c.dbtx, &db.MappingsAfterParams{CustomerID: customer, After: after, PageSize: limit})
	users := make([]UserToRefresh, 0, len(rows))
	for _, row := range rows {
		users = append(users, UserToRefresh{VomoID: row.VomoUserID, UpdatedAt: row.LastSyncedUpdatedAt})
	}
	return users, err
}

// TakeParticipationsDue returns up to atMost customers whose next cycle of participations is due, each to one caller. Its cycle is
// next due after every; EndParticipationsCycle may say something else.
func (t *Tx) TakeParticipationsDue(ctx context.Context, every time.Duration, atMost int32) ([]string, error) {
	customers, err := t.queries.SyncConfigsTakeParticipationsDue(ctx, t.dbtx, &db.SyncConfigsTakeParticipationsDueParams{Every: every, AtMost: atMost})
	return customers, err
}

// EndParticipationsCycle notes how long a cycle took that began then, and that the next one is due after every since then, or now.
func (t *Tx) EndParticipationsCycle(ctx context.Context, customer string, beganAt time.Time, every time.Duration) error {
	return t.queries.SyncConfigEndParticipationsCycle(ctx, t.dbtx, &db.SyncConfigEndParticipationsCycleParams{
		CustomerID: customer, BeganAt: beganAt, Every: every,
	})
}
