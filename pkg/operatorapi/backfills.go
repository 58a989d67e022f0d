// Package operatorapi is the form of the operator API: the questions and answers of rollcall.api.*, as JSON.
//
// It owns the names of their fields, the words that a field may have, and the rules for a valid question. It promises
// that each name of an answer is always there: null stands for a value that is not known yet. It reads nothing: package
// report computes answers from the tables, and it has the answer of rollcall.api.status.get.
package operatorapi

import (
	"time"
)

// Backfill is one run as `rollcall backfill ls` lists it.
type Backfill struct {
	ID                int64      `json:"id"`
	CustomerID        string     `json:"customerId"`
	State             string     `json:"state"` // queued, running, parked, paused, completed, failed, cancelled
	ParkReason        *string    `json:"parkReason"`
	DueAt             *time.Time `json:"dueAt"`     // parked runs: when they are tried again
	Processed         int64      `json:"processed"` // users read, each once
	Total             *int64     `json:"total"`     // VOMO's count of users, as last shown
	Written           int64      `json:"written"`
	Skipped           int64      `json:"skipped"`
	Failures          int64      `json:"failures"`
	Recovered         int64      `json:"recovered"` // users that the first reading of the list had missed
	Verified          *bool      `json:"verified"`  // completed runs: what was read agrees with VOMO's counts
	Phase             string     `json:"phase"`     // pages: the list is read; windows: it is compared with VOMO's counts
	Pages             int64      `json:"pages"`
	RequestsPerMinute *float64   `json:"requestsPerMinute"` // measured over the time in which it worked
	EtaSeconds        *int64     `json:"etaSeconds"`        // null until it can be measured, 0 when complete
	Rewrite           bool       `json:"rewrite"`           // it writes again whose version is known
	TraceID           string     `json:"traceId"`
	CreatedAt         time.Time  `json:"createdAt"`
	StartedAt         *time.Time `json:"startedAt"`
	UpdatedAt         time.Time  `json:"updatedAt"`
	CompletedAt       *time.Time `json:"completedAt"`
}

// BackfillsQuestion asks for runs, newest first.
type BackfillsQuestion struct {
	CustomerID string `json:"customerId,omitempty"` // only this customer's newest run
	Before     int64  `json:"before,omitempty"`     // runs with a smaller id: the Next of the page before
	Limit      int32  `json:"limit,omitempty"`      // at most 200, default 50
}

// BackfillsReply is one page of runs; Next is null on the last.
type BackfillsReply struct {
	Backfills []Backfill `json:"backfills"`
	Next      *int64     `json:"next"`
}

// BackfillCommand asks rollcall.api.backfills.start, pause or cancel.
type BackfillCommand struct {
	CustomerID string `json:"customerId"`
	Rewrite    bool   `json:"rewrite,omitempty"` // start: write everybody again, also whose version is known
}

// Values of BackfillCommanded.Action.
const (
	BackfillStarted       = "started"
	BackfillResumed       = "resumed"
	BackfillPaused        = "paused"
	BackfillAlreadyPaused = "already_paused"
	BackfillCancelled     = "cancelled"
)

// BackfillCommanded says what the command did, and returns the run after it.
type BackfillCommanded struct {
	Action   string   `json:"action"`
	Backfill Backfill `json:"backfill"`
	// NotBackfilled is true if no backfill of this customer has been completed.
	NotBackfilled bool `json:"notBackfilled"`
	// RewriteUnfinished is true if users still have to be written again.
	RewriteUnfinished bool `json:"rewriteUnfinished"`
}
