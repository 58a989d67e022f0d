package mirror

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// externalIDPrefix makes the ids by which destinations know users, such as "vomo-123" (docs/guides.md#names).
const externalIDPrefix = "vomo-"

// RecordOf returns a user as a destination gets it (docs/guides.md#initial-backfill).
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

// VersionOf returns what tells one state of a record from another: VOMO's updated_at has whole seconds, so a keyed hash
// of the record, with the updated_at that VOMO shows, goes with it.
func VersionOf(hashKey []byte, record destination.Record) (store.Version, error) {
	canonical, err := json.Marshal(record) // a struct: the fields always come in the same order
	if err != nil {
		return store.Version{}, fmt.Errorf("encode record: %w", err)
	}
	mac := hmac.New(sha256.New, hashKey)
	mac.Write(canonical)
	return store.Version{UpdatedAt: record.SourceUpdatedAt, Hash: mac.Sum(nil)}, nil
}

// mostAhead is how far an updated_at may be ahead of VOMO's clock and still be when a user changed: the machines that
// stamp and those that answer need not agree to the second.
const mostAhead = 5 * time.Minute

// clocks are VOMO's when it answered, and the database's.
type clocks struct{ vomo, own time.Time }

// changedAt returns when a user changed: an updated_at that is too far ahead of VOMO's clock cannot be that, and VOMO's
// clock takes its place.
func (c clocks) changedAt(updatedAt time.Time) time.Time {
	if updatedAt.After(c.vomo.Add(mostAhead)) {
		return c.vomo
	}
	return updatedAt
}

// relation of a version in hand to one that is known.
type relation int

const (
	newer relation = iota
	same
	older
)

// compare returns the relation of a version in hand to one that was noted at notedAt of the database's clock; zero: in
// the page in hand. An equal time with another hash is newer, since several edits share a second.
//
// A known time ahead of VOMO's clock is no true one, and everything else that VOMO shows is newer. The same is found out
// afterwards, if VOMO's clock was set right and has passed the known time since: what was noted at a moment had changed
// by that moment, which is translated into VOMO's clock as it goes now.
func (c clocks) compare(inHand, known store.Version, notedAt time.Time) relation {
	knownAt := known.UpdatedAt
	if noted := notedAt.Add(c.vomo.Sub(c.own)); !notedAt.IsZero() && knownAt.After(noted.Add(mostAhead)) {
		knownAt = noted
	}
	switch {
	case bytes.Equal(inHand.Hash, known.Hash): // it covers the time that VOMO shows
		return same
	case known.UpdatedAt.After(c.vomo):
		return newer
	case inHand.UpdatedAt.Before(knownAt):
		return older
	default:
		return newer
	}
}

// storedEmail is the form in which our tables keep an address: the poll compares it, and letter case or spaces
// are no change of address. "" stands for none.
func storedEmail(email *string) string {
	if email == nil {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(*email))
}
