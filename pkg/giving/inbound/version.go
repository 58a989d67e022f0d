package inbound

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/pkg/virtuous"
)

// coarsest is how much of a time the coarsest spelling of Virtuous leaves out: some of its texts have no fraction of a second.
const coarsest = time.Second

// version is what decides which of two forms of a record counts.
type version struct {
	modified time.Time // zero: Virtuous does not say
	hash     []byte    // nil: there are no fields yet
	read     time.Time // zero: a webhook had it
	seen     time.Time
	webhook  time.Time // when the last webhook was received; it decides nothing
}

// verdict is what to do with a version, given the stored one.
type verdict int

const (
	skip    verdict = iota // the stored one counts
	same                   // it is the stored one, perhaps with a more exact time
	replace                // it counts
)

// judge compares a version with the stored one. Its answers lead to the same stored version in whatever order versions arrive, as
// far as the times allow.
func judge(stored, incoming version) verdict {
	if stored.hash == nil {
		return replace
	}
	known := bytes.Equal(stored.hash, incoming.hash)
	undated := stored.modified.IsZero() || incoming.modified.IsZero()
	switch {
	case known && (undated || stored.modified.Sub(incoming.modified).Abs() < coarsest):
		return same
	case undated:
		// Only a read is without a time: a webhook's record is read first.
		if incoming.read.After(stored.read) && !incoming.seen.Before(stored.seen) {
			return replace
		}
		return skip
	case virtuous.SameTime(stored.modified, incoming.modified):
		return judgeEqualTimes(stored, incoming)
	case incoming.modified.Before(stored.modified):
		return skip
	}
	return replace
}

// judgeEqualTimes decides between two different forms with the same time.
func judgeEqualTimes(stored, incoming version) verdict {
	switch {
	case !incoming.read.IsZero(): // what is read is what Virtuous has
		if incoming.read.Before(stored.read) {
			return skip
		}
		return replace
	case !stored.read.IsZero():
		if incoming.seen.Before(stored.read) {
			return skip
		}
		return replace
	case bytes.Compare(incoming.hash, stored.hash) > 0: // two webhooks: either order must have one result
		return replace
	}
	return skip
}

// merged returns the stored version with what the same version, seen another time, adds.
func merged(stored, incoming version) version {
	stored.modified = latest(stored.modified, incoming.modified)
	stored.read = latest(stored.read, incoming.read)
	return stored.noting(incoming)
}

// noting returns the version with the times at which another form of the record was seen.
func (v version) noting(other version) version {
	v.seen, v.webhook = latest(v.seen, other.seen), latest(v.webhook, other.webhook)
	return v
}

// sameTimes reports whether two forms of one version have the same times.
func (v version) sameTimes(other version) bool {
	return v.modified.Equal(other.modified) && v.read.Equal(other.read) && v.seen.Equal(other.seen) && v.webhook.Equal(other.webhook)
}

func latest(one, other time.Time) time.Time {
	if other.After(one) {
		return other
	}
	return one
}

// canonical returns the bytes of a record's fields, which are sealed, and their hash.
func canonical(key []byte, entity string, fields []virtuous.Field) (encoded, hash []byte, err error) {
	pairs := make([][2]string, len(fields))
	for i, field := range fields {
		pairs[i] = [2]string{field.Name, field.Value}
	}
	if encoded, err = json.Marshal(pairs); err != nil {
		return nil, nil, fmt.Errorf("encode fields: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(entity + "\x00"))
	mac.Write(encoded)
	return encoded, mac.Sum(nil), nil
}

// Fields reads what a gift or contact was sealed with.
func Fields(encoded []byte) ([]virtuous.Field, error) {
	var pairs [][2]string
	if err := json.Unmarshal(encoded, &pairs); err != nil {
		return nil, fmt.Errorf("decode fields: %w", err)
	}
	fields := make([]virtuous.Field, len(pairs))
	for i, pair := range pairs {
		fields[i] = virtuous.Field{Name: pair[0], Value: pair[1]}
	}
	return fields, nil
}

// changedFields returns the names of the fields in which two forms differ, in the order of the newer one.
func changedFields(before, after []virtuous.Field) []string {
	was := make(map[string]string, len(before))
	for _, field := range before {
		was[field.Name] = field.Value
	}
	var changed []string
	for _, field := range after {
		if value, known := was[field.Name]; !known || value != field.Value {
			changed = append(changed, field.Name)
		}
	}
	return changed
}
