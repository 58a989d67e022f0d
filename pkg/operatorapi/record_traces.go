package operatorapi

import "time"

// Kinds of records that can be traced.
const (
	TraceGift    = "gift"
	TraceContact = "contact"
	TraceUser    = "user"
)

// TraceQuestion asks what became of one record: rollcall.api.record.show for a gift or contact, rollcall.api.users.show for a user of VOMO.
// rollcall.api.record.fix also does what its cause calls for, if that is safe.
type TraceQuestion struct {
	CustomerID string `json:"customerId"`
	Kind       string `json:"kind"` // gift, contact; users.show takes user
	// RecordID is the platform's id of a donation or the id of a gift at Virtuous; the id of a contact at Virtuous or the platform's reference; or the
	// id of a user in VOMO.
	RecordID string `json:"recordId"`
}

// What an id was found as.
const (
	FoundAsDonation  = "platform_donation_id"
	FoundAsGift      = "virtuous_gift_id"
	FoundAsContact   = "virtuous_contact_id"
	FoundAsReference = "platform_reference_id"
	FoundAsUser      = "vomo_user_id"
)

// TraceReply has one trace for each record that the id may mean, one at least.
type TraceReply struct {
	CustomerID string  `json:"customerId"`
	Kind       string  `json:"kind"`
	RecordID   string  `json:"recordId"`
	Traces     []Trace `json:"traces"`
}

// Trace is what became of one record. It has ids, times, codes and names of fields, and nothing of a person.
type Trace struct {
	FoundAs          *string      `json:"foundAs"` // null: the id is not known here
	PlatformRecordID *string      `json:"platformRecordId"`
	VirtuousRecordID *int64       `json:"virtuousRecordId"`
	State            *string      `json:"state"`     // of the donation or contact transaction, or of what the destination has of a user
	HeldState        *string      `json:"heldState"` // of the gift or contact as it is stored here: live, reversed, deleted, archived, merged
	SyncState        *string      `json:"syncState"`
	Lookup           *TraceLookup `json:"lookup"` // null for a user
	Timeline         []TraceHop   `json:"timeline"`
	Cause            TraceCause   `json:"cause"`
	Fixed            *string      `json:"fixed"` // what record.fix did; null: nothing
}

// Outcomes of a lookup.
const (
	LookupFound    = "found"
	LookupNotFound = "not_found"
	LookupUnclear  = "unclear"   // Virtuous did not say
	LookupNotAsked = "not_asked" // it was not asked; Reason says why
)

// TraceLookup is what Virtuous answered just now.
type TraceLookup struct {
	Outcome       string     `json:"outcome"`
	Reason        *string    `json:"reason"`        // why it was not asked, or what was unclear
	ChangedFields []string   `json:"changedFields"` // in which Virtuous' record is not what is stored here
	At            *time.Time `json:"at"`
}

// TraceHop is one thing that happened to a record.
type TraceHop struct {
	At        time.Time `json:"at"`
	Hop       string    `json:"hop"` // captured, attempt, submitted, lookup, review, webhook, read, reconciliation, confirmed, letter, decision, …
	Text      string    `json:"text"`
	Status    *int      `json:"status"` // of an answer
	Code      *string   `json:"code"`
	RequestID *string   `json:"requestId"` // at Virtuous
	By        *string   `json:"by"`        // the operator, as it names itself
}

// States of causes.
const (
	CauseOK   = "ok"
	CauseWait = "wait" // nothing has to be done
	CauseAct  = "act"
)

// TraceCause is why the record is as it is.
type TraceCause struct {
	Code    string  `json:"code"`
	State   string  `json:"state"` // ok, wait, act
	Text    string  `json:"text"`
	Next    string  `json:"next"`
	Command *string `json:"command"` // the exact command of the next action; null: there is none
	Fixable bool    `json:"fixable"` // record.fix does it
}
