package operatorapi

import (
	"encoding/json"
	"time"
)

// Act is one line of `rollcall audit ls`: what an operator did.
type Act struct {
	ID         int64           `json:"id"`
	At         time.Time       `json:"at"`
	Operator   *string         `json:"operator"` // as the caller names itself; null: it did not
	NATSUser   *string         `json:"natsUser"` // as the NATS server names the caller; null: it does not
	Via        string          `json:"via"`      // api, message, ack, command
	Verb       string          `json:"verb"`     // such as letters.retry
	CustomerID *string         `json:"customerId"`
	Filter     json.RawMessage `json:"filter"`  // what was asked for, without texts that may be a secret or a person's
	Outcome    string          `json:"outcome"` // done, rejected, failed; begun: its end was not noted
	Code       *string         `json:"code"`    // why it was rejected or failed
	Result     json.RawMessage `json:"result"`  // counts and states of the answer, or null
}

// ActsQuestion asks rollcall.api.audit.ls for acts, newest first.
type ActsQuestion struct {
	CustomerID string     `json:"customerId,omitempty"` // absent: of all, and of none
	Verb       string     `json:"verb,omitempty"`       // such as letters.retry; letters means all of its verbs
	Operator   string     `json:"operator,omitempty"`
	Since      *time.Time `json:"since,omitempty"`
	Before     int64      `json:"before,omitempty"` // ids below this one: the Next of the page before
	Limit      int32      `json:"limit,omitempty"`  // at most MaxActs, default 50
}

// MaxActs is the largest number of acts in one page.
const MaxActs = 100

// ActsReply is one page; Next is null on the last.
type ActsReply struct {
	Acts []Act  `json:"acts"`
	Next *int64 `json:"next"`
}
