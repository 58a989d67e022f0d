package inbound

import (
	"errors"
	"slices"
	"time"

	"rollcall.dev/pkg/virtuous"
)

// Record is a gift or a contact as Virtuous had it, or the deletion of a gift. One of the first three fields is set.
type Record struct {
	Gift        *virtuous.Gift
	Contact     *virtuous.Contact
	DeletedGift int64
	At          time.Time // when the webhook was received, or the request was sent whose answer has the record
	Read        bool      // the record was read from Virtuous; of a deletion: Virtuous was asked, and does not have the gift
}

// ErrUnordered means that the times of a deletion and of a read of its gift do not say which came first: the caller asks Virtuous for the gift, and
// applies the answer. Nothing was applied.
var ErrUnordered = errors.New("a gift was read at about the time of its deletion")

// skew is by how much the clock of a process that receives webhooks, and that of the database, which stamps reads, may differ.
const skew = time.Minute

// Delivered returns an entry of a delivery as a record; ok is false if the entry has a problem.
func Delivered(entry virtuous.Record, receivedAt time.Time) (record Record, ok bool) {
	record = Record{Gift: entry.Gift, Contact: entry.Contact, At: receivedAt}
	if entry.Event == virtuous.GiftDelete {
		record.DeletedGift = entry.ID
	}
	return record, entry.Problem == ""
}

// NeedsRead reports whether the record lacks something without which it cannot be applied, such as its time: the caller reads the
// record from Virtuous, and applies what it read. A record that was read needs no second read.
func (r Record) NeedsRead() bool {
	switch {
	case r.Read || r.DeletedGift != 0:
		return false
	case r.Gift != nil:
		return !r.Gift.IsComplete()
	}
	return r.Contact != nil && !r.Contact.IsComplete()
}

// ID returns the id of the gift or contact.
func (r Record) ID() int64 {
	switch {
	case r.Gift != nil:
		return r.Gift.ID
	case r.Contact != nil:
		return r.Contact.ID
	}
	return r.DeletedGift
}

// Lacks returns the names of fields without which the record is no version, even if it was read: all that it should have, except its time. A
// caller that read a record in a list reads such a record alone.
func (r Record) Lacks() []string {
	var missing []string
	switch {
	case r.Gift != nil:
		missing = r.Gift.Missing
	case r.Contact != nil:
		missing = r.Contact.Missing
	}
	return slices.DeleteFunc(slices.Clone(missing), func(field string) bool { return field == fieldModified })
}

const fieldModified = "modifiedDateTimeUtc"

// Entities of outcomes.
const (
	EntityGift    = "gift"
	EntityContact = "contact"
)

// Change is what a record changed.
type Change int

const (
	// Skipped: a newer version, or a deletion, is known.
	Skipped Change = iota
	// Unchanged: this version is known.
	Unchanged
	// Created: the record was not known.
	Created
	// Updated: a field changed.
	Updated
	// Deleted: the gift was deleted.
	Deleted
	// Merged: the contact was merged into another one.
	Merged
)

// Outcome is what became of one record.
type Outcome struct {
	Entity        string
	ID            int64
	Change        Change
	ChangedFields []string // by name, of an Updated or Merged record
	Confirmed     string   // the donation that the record confirmed; ""
	Differs       []string // fields in which the gift is not what that donation submitted

	ConfirmedContacts []string // the platform's contacts, by their references, that the record confirmed
}

// IsApplied reports whether the record changed something.
func (o Outcome) IsApplied() bool {
	return o.Change > Unchanged || o.Confirmed != "" || len(o.ConfirmedContacts) > 0
}
