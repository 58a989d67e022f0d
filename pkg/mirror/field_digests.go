package mirror

import (
	"bytes"
	"crypto/sha256"
	"hash"
	"time"

	"rollcall.dev/pkg/destination"
)

const (
	// digestSize is the stored size of a field's digest: one change in four thousand million stays unnamed.
	digestSize = 4
	// digestsFormat is the first byte of a user's digests. Digests of another format are not comparable: the first format
	// had no such byte and did not include the user, so a copy of the table showed which users share a phone number.
	digestsFormat = 2
)

// fieldNames returns the names of the fields that have a digest, in the digests' order. They are the names that
// destinations get.
func fieldNames() []string {
	return []string{"email", "first_name", "last_name", "phone", "user_status", "membership_role", "vomo_created_at"}
}

// digestsOf returns short keyed digests of a record's fields. With them an event can name the fields that changed, and no
// table stores the values. The user is part of each digest: equal values of two users have different digests. keyed is an HMAC with the
// customer's hash key.
func digestsOf(keyed hash.Hash, record destination.Record) []byte {
	created := ""
	if at := record.CustomFields.VomoCreatedAt; at != nil {
		created = at.Format(time.RFC3339Nano)
	}
	digests := make([]byte, 0, digestsSize())
	digests = append(digests, digestsFormat)
	var sum [sha256.Size]byte
	var content []byte
	for i, value := range []*string{
		record.Email, record.FirstName, record.LastName, record.Phone, record.CustomFields.UserStatus, record.CustomFields.MembershipRole, &created,
	} {
		keyed.Reset()
		content = append(append(content[:0], record.ExternalID...), 0, byte(i)) // equal values of two fields must not have equal digests
		if value != nil {
			content = append(append(content, 1), *value...)
		}
		keyed.Write(content)
		digests = append(digests, keyed.Sum(sum[:0])[:digestSize]...)
	}
	return digests
}

func digestsSize() int { return 1 + digestSize*len(fieldNames()) }

// changedFields returns the names of the fields in which two versions differ. known is false if one of them has digests of
// another format.
func changedFields(before, now []byte) (changed []string, known bool) {
	names := fieldNames()
	if len(before) != digestsSize() || len(now) != digestsSize() || before[0] != digestsFormat || now[0] != digestsFormat {
		return nil, false
	}
	before, now = before[1:], now[1:]
	for i, name := range names {
		if !bytes.Equal(before[i*digestSize:(i+1)*digestSize], now[i*digestSize:(i+1)*digestSize]) {
			changed = append(changed, name)
		}
	}
	return changed, true
}
