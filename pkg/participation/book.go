// Package participation keeps what VOMO shows of users' participations.
//
// It owns the sealed form, the digests, and what counts as a new, changed or removed participation. It promises that a list
// that VOMO did not send changes nothing, and that equal answers have equal digests whatever the order of names and entries.
// It reads and writes nothing: its callers read VOMO, and pkg/store has the rows.
package participation

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// Purpose is what participations are sealed for.
const Purpose = "participations"

// Book reads and writes the rows of one customer.
type Book struct {
	HashKey []byte                             // the customer's key from the vault
	Seal    func(plain []byte) ([]byte, error) // for Purpose, with the customer's data key
	Open    func(sealed []byte) ([]byte, error)
}

// state is what is sealed.
type state struct {
	Entries map[string]entry `json:"entries"` // by key
	Fields  json.RawMessage  `json:"fields,omitempty"`
}

// entry is one participation.
type entry struct {
	Content json.RawMessage `json:"content"`
	Hours   float64         `json:"hours"`
	At      *time.Time      `json:"at,omitempty"`
}

// Changes are the keys of the participations in which two answers differ, in order.
type Changes struct{ Created, Changed, Removed []string }

// Count returns how many participations differ.
func (c Changes) Count() int { return len(c.Created) + len(c.Changed) + len(c.Removed) }

// Reading is what an answer of VOMO says about a user.
type Reading struct {
	Known   bool // false: nothing is known about the user's participations, neither from before nor now, and there is no row
	IsNew   bool // the row differs from the one that there was
	Row     store.Participations
	Changes Changes // from the row that there was
}

// Read compares VOMO's answer about a user with the row that there is; before is nil if there is none.
func (b Book) Read(vomoID string, before *store.Participations, answer vomo.UserParticipations) (Reading, error) {
	if before == nil && !answer.Known {
		return Reading{}, nil
	}
	reading := Reading{Known: true, Row: store.Participations{VomoID: vomoID}}
	var old state
	if before != nil {
		var err error
		if old, err = b.open(*before); err != nil {
			return Reading{}, err
		}
		reading.Row.SentDigest = before.SentDigest
	}
	next := old
	if answer.Known {
		next.Entries = b.entriesOf(vomoID, answer.Entries)
		reading.Changes = changesOf(old.Entries, next.Entries)
	}
	if answer.Fields != nil {
		next.Fields = answer.Fields
	}
	plain, err := json.Marshal(next) // the names of a map come in order
	if err != nil {
		return Reading{}, fmt.Errorf("encode participations: %w", err)
	}
	reading.Row.Digest = b.mac(vomoID, plain)
	if before != nil && hmac.Equal(reading.Row.Digest, before.Digest) {
		reading.Row = *before
		return reading, nil
	}
	reading.IsNew = true
	if reading.Row.SummaryDigest, err = b.digestOf(vomoID, summaryOf(next)); err != nil {
		return Reading{}, err
	}
	reading.Row.Sealed, err = b.Seal(plain)
	return reading, err
}

// Due returns the fields that a destination gets about a user, and whether the destination lacks them. The fields are nil if the
// destination needs none: the user has no participation, and the destination has no fields of one.
func (b Book) Due(row store.Participations) (fields *destination.Participations, due bool, err error) {
	if row.SentDigest == nil {
		none, err := b.digestOf(row.VomoID, destination.Participations{})
		if err != nil || hmac.Equal(none, row.SummaryDigest) {
			return nil, false, err
		}
	}
	kept, err := b.open(row)
	if err != nil {
		return nil, false, err
	}
	summary := summaryOf(kept)
	return &summary, !hmac.Equal(row.SentDigest, row.SummaryDigest), nil
}

func (b Book) open(row store.Participations) (state, error) {
	plain, err := b.Open(row.Sealed)
	if err != nil {
		return state{}, fmt.Errorf("open participations: %w", err)
	}
	var kept state
	if err := json.Unmarshal(plain, &kept); err != nil {
		return state{}, fmt.Errorf("decode participations: %w", err)
	}
	return kept, nil
}

func (b Book) digestOf(vomoID string, summary destination.Participations) ([]byte, error) {
	encoded, err := json.Marshal(summary)
	if err != nil {
		return nil, fmt.Errorf("encode summary of participations: %w", err)
	}
	return b.mac(vomoID, encoded), nil
}

// mac is keyed, and the user is part of it: a copy of the table does not show which users have the same participations as a user whose
// participations are known.
func (b Book) mac(vomoID string, text []byte) []byte {
	mac := hmac.New(sha256.New, b.HashKey)
	mac.Write([]byte(Purpose + "\x00" + vomoID + "\x00"))
	mac.Write(text)
	return mac.Sum(nil)
}

// entriesOf returns the entries by key. An entry without an id gets a keyed hash of its content as its key: a change of it is then
// the removal of one entry and the creation of another. If a key occurs twice, the later ones are numbered, in an order that
// depends on their content alone.
func (b Book) entriesOf(vomoID string, read []vomo.Participation) map[string]entry {
	read = slices.Clone(read)
	slices.SortFunc(read, func(one, other vomo.Participation) int {
		return cmp.Or(cmp.Compare(one.Key, other.Key), slices.Compare(one.Content, other.Content))
	})
	entries := make(map[string]entry, len(read))
	met := make(map[string]int, len(read))
	for _, participation := range read {
		key := participation.Key
		if key == "" {
			key = "entry-" + hex.EncodeToString(b.mac(vomoID, participation.Content)[:12])
		}
		if met[key]++; met[key] > 1 {
			key += "-" + strconv.Itoa(met[key])
		}
		one := entry{Content: participation.Content, Hours: participation.Hours}
		if !participation.At.IsZero() {
			at := participation.At.UTC()
			one.At = &at
		}
		entries[key] = one
	}
	return entries
}

func changesOf(before, now map[string]entry) (changes Changes) {
	for _, key := range slices.Sorted(maps.Keys(now)) {
		old, known := before[key]
		switch {
		case !known:
			changes.Created = append(changes.Created, key)
		case string(old.Content) != string(now[key].Content):
			changes.Changed = append(changes.Changed, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(before)) {
		if _, isThere := now[key]; !isThere {
			changes.Removed = append(changes.Removed, key)
		}
	}
	return changes
}

// summaryOf returns what a destination gets. The entries are added in the order of their keys, so that rounding gives the same sum
// each time.
func summaryOf(kept state) destination.Participations {
	summary := destination.Participations{Count: len(kept.Entries)}
	for _, key := range slices.Sorted(maps.Keys(kept.Entries)) {
		one := kept.Entries[key]
		summary.Hours += one.Hours
		if one.At != nil && (summary.LastAt == nil || one.At.After(*summary.LastAt)) {
			summary.LastAt = one.At
		}
	}
	summary.Hours = math.Round(summary.Hours*100) / 100 //nolint:mnd // two decimals
	return summary
}
