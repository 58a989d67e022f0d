package operatorapi

import (
	"time"
)

// Customer is one line of `rollcall customer ls`.
type Customer struct {
	CustomerID          string           `json:"customerId"`
	Enabled             bool             `json:"enabled"`
	OnboardedAt         time.Time        `json:"onboardedAt"`
	OffboardedAt        *time.Time       `json:"offboardedAt"`
	Destination         DestinationHost  `json:"destination"`
	PollCadenceMinutes  int32            `json:"pollCadenceMinutes"`
	BackfillCompletedAt *time.Time       `json:"backfillCompletedAt"` // the first one's end
	Backfill            *BackfillInShort `json:"backfill"`            // the newest run
	UsersMirrored       int64            `json:"usersMirrored"`
	OpenLetters         int64            `json:"openLetters"`
	Alerts              []string         `json:"alerts"` // types of the active alerts
	PausedAt            *time.Time       `json:"pausedAt"`
	LastPolledAt        *time.Time       `json:"lastPolledAt"` // the end of the last successful poll
	IsHealthy           *bool            `json:"isHealthy"`    // as the status has it
}

// DestinationHost names a destination without its path, which may hold a secret.
type DestinationHost struct {
	Kind string `json:"kind"`
	Host string `json:"host"`
}

// BackfillInShort is the progress of a run.
type BackfillInShort struct {
	ID         int64   `json:"id"`
	State      string  `json:"state"`
	ParkReason *string `json:"parkReason"`
	Processed  int64   `json:"processed"`
	Total      *int64  `json:"total"`
	EtaSeconds *int64  `json:"etaSeconds"`
}

// CustomersQuestion asks for customers in the order of their ids.
type CustomersQuestion struct {
	CustomerID string `json:"customerId,omitempty"` // only this one, and none if it is not known; absent: all
	After      string `json:"after,omitempty"`      // customers with a later id: the Next of the page before
	Limit      int32  `json:"limit,omitempty"`      // at most 100, default 50
}

// CustomersReply is one page; Next is null on the last. AsOf is the database's time, from which ages are computed.
type CustomersReply struct {
	AsOf      time.Time  `json:"asOf"`
	Customers []Customer `json:"customers"`
	Next      *string    `json:"next"`
}

// CustomerCommand asks rollcall.api.customers.pause or resume.
type CustomerCommand struct {
	CustomerID string `json:"customerId"`
}

// Values of CustomerCommanded.Action. The first and the third changed nothing.
const (
	CustomerAlreadyPaused = "already_paused"
	CustomerPaused        = "paused"
	CustomerNotPaused     = "not_paused"
	CustomerResumed       = "resumed"
)

// CustomerCommanded says what the command did, and the customer's state after it.
type CustomerCommanded struct {
	CustomerID          string     `json:"customerId"`
	Action              string     `json:"action"`
	PausedAt            *time.Time `json:"pausedAt"`
	Enabled             bool       `json:"enabled"`             // false: nothing goes on before it has a token that works
	BackfillCompletedAt *time.Time `json:"backfillCompletedAt"` // null: no poll comes before that
	Backfill            *string    `json:"backfill"`            // state of the unfinished one; null if there is none
	NextPollAt          *time.Time `json:"nextPollAt"`          // null if none is scheduled
}
