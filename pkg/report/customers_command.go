package report

import "time"

// CustomerCommand asks rollcall.api.customers.pause or resume.
type CustomerCommand struct {
	CustomerID string `json:"customerId"`
}

// What a command did to a customer; the first and the third changed nothing.
const (
	CustomerAlreadyPaused = "already_paused"
	CustomerPaused        = "paused"
	CustomerNotPaused     = "not_paused"
	CustomerResumed       = "resumed"
)

// CustomerCommanded is what it did, and how the customer stands now.
type CustomerCommanded struct {
	CustomerID          string     `json:"customerId"`
	Action              string     `json:"action"`
	PausedAt            *time.Time `json:"pausedAt"`
	Enabled             bool       `json:"enabled"`             // false: nothing goes on before it has a token that works
	BackfillCompletedAt *time.Time `json:"backfillCompletedAt"` // null: no poll comes before that
	Backfill            *string    `json:"backfill"`            // state of the unfinished one; null where there is none
	NextPollAt          *time.Time `json:"nextPollAt"`          // null where none is scheduled
}
