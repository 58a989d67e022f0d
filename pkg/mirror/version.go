package mirror

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"strings"
	"time"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// externalIDPrefix starts the ids that destinations get, such as "vomo-123" (docs/guides.md#names).
const externalIDPrefix = "vomo-"

// RecordOf returns the record that a destination gets for a user (docs/guides.md#initial-backfill).
func RecordOf(user vomo.User) destination.Record {
	record := destination.Record{
		ExternalID: externalIDPrefix + user.ID, Email: user.Email, FirstName: user.FirstName, LastName: user.LastName,
		Phone: user.Phone, SourceUpdatedAt: user.UpdatedAt.UTC(),
		CustomFields: destination.CustomFields{UserStatus: user.UserStatus, MembershipRole: user.MembershipRole},
	}
	if !user.CreatedAt.IsZero() {
		created := user.CreatedAt.UTC()
		record.CustomFields.VomoCreatedAt = &created
	}
	return record
}

// VersionOf returns the version of a record: its updated_at and a keyed hash of its content. VOMO's updated_at has whole
// seconds, which alone do not distinguish two edits in the same second.
func VersionOf(hashKey []byte, record destination.Record) (store.Version, error) {
	return versionOf(hmac.New(sha256.New, hashKey), record)
}

// versionOf is VersionOf with the keyed hash itself, for many records.
func versionOf(keyed hash.Hash, record destination.Record) (store.Version, error) {
	record.Without = nil
	canonical, err := record.JSON()
	if err != nil {
		return store.Version{}, err
	}
	keyed.Reset()
	keyed.Write(canonical)
	return store.Version{UpdatedAt: record.SourceUpdatedAt, Hash: keyed.Sum(nil)}, nil
}

// maxAhead is how far an updated_at may be ahead of VOMO's clock and still be believed: the machines that stamp edits and
// those that answer requests need not agree to the second.
const maxAhead = 5 * time.Minute

// clocks are the time of VOMO when it answered, and the time of the database.
type clocks struct{ vomo, database time.Time }

// changedAt returns when a user changed: updatedAt, or VOMO's time if updatedAt is too far ahead of it to be true.
func (c clocks) changedAt(updatedAt time.Time) time.Time {
	if updatedAt.After(c.vomo.Add(maxAhead)) {
		return c.vomo
	}
	return updatedAt
}

// relation of a version read from VOMO to a stored one.
type relation int

const (
	newer relation = iota
	same
	older
)

// compare returns the relation of a version read from VOMO to a stored one. storedAt is the database's time when the
// stored version was saved; it is zero if that version was read from the same page. An equal time with another hash is
// newer, since several edits share a second.
//
// A stored time ahead of VOMO's clock cannot be true, so any other version that VOMO returns is newer. If VOMO's clock
// was corrected and has passed the stored time since, the error shows in storedAt instead: the user cannot have changed
// after the version was saved. In that case storedAt, converted to VOMO's current clock, replaces the stored time.
func (c clocks) compare(read, stored store.Version, storedAt time.Time) relation {
	changed := stored.UpdatedAt
	if saved := storedAt.Add(c.vomo.Sub(c.database)); !storedAt.IsZero() && changed.After(saved.Add(maxAhead)) {
		changed = saved
	}
	switch {
	case bytes.Equal(read.Hash, stored.Hash): // the hash covers the time that VOMO returned
		return same
	case stored.UpdatedAt.After(c.vomo):
		return newer
	case read.UpdatedAt.Before(changed):
		return older
	default:
		return newer
	}
}

// normalizeEmail returns an address in the form in which the tables store it: differences in letter case or surrounding
// spaces do not count as a change of address. "" means that the user has none.
func normalizeEmail(email *string) string {
	if email == nil {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(*email))
}
