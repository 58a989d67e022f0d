package mirror

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// externalIDPrefix is the recipe's: destinations know a user as "vomo-123".
const externalIDPrefix = "vomo-"

// RecordOf is a user as a destination gets it (recipe step 2).
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

// VersionOf is what tells one state of a record from another: VOMO's updated_at has whole seconds, so a keyed
// hash of what the destination gets goes with it.
func VersionOf(hashKey []byte, record destination.Record) (store.Version, error) {
	canonical, err := json.Marshal(record) // a struct: the fields always come in the same order
	if err != nil {
		return store.Version{}, fmt.Errorf("encode record: %w", err)
	}
	mac := hmac.New(sha256.New, hashKey)
	mac.Write(canonical)
	return store.Version{UpdatedAt: record.SourceUpdatedAt, Hash: mac.Sum(nil)}, nil
}

// relation of a version in hand to one that is known.
type relation int

const (
	newer relation = iota
	same
	older
)

// compare is principle 4: an equal time with another hash is newer, since several edits share a second.
func compare(inHand, known store.Version) relation {
	switch {
	case inHand.UpdatedAt.Before(known.UpdatedAt):
		return older
	case inHand.UpdatedAt.Equal(known.UpdatedAt) && bytes.Equal(inHand.Hash, known.Hash):
		return same
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
