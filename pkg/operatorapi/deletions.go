package operatorapi

import (
	"time"
)

// Entities of a search for deleted records.
const (
	EntityUser = "user" // of VOMO
	EntityGift = "gift" // of Virtuous
)

// DeletionRun is one search for users that VOMO deleted, or for gifts that Virtuous deleted, as `rollcall deletions ls` lists it.
type DeletionRun struct {
	ID         int64  `json:"id"`
	CustomerID string `json:"customerId"`
	Entity     string `json:"entity"`
	// State is scanning, asking, held, approved, deleting, done, unverified, rejected, expired or failed.
	State     string     `json:"state"`
	HeldFor   *string    `json:"heldFor"` // share, all, empty_source or half_of_last_scan
	Text      *string    `json:"text"`    // runs that were held: why, and how many users it is about
	Mapped    int64      `json:"mapped"`  // users at the destination when it began; gifts that were compared
	Scanned   int64      `json:"scanned"` // users that VOMO's list has; gifts that Virtuous' list has
	Missing   int64      `json:"missing"` // users at the destination, or known gifts, that the list did not show
	Confirmed int64      `json:"confirmed"`
	Deleted   int64      `json:"deleted"`
	Failed    int64      `json:"failed"` // deletions that the destination did not make; they have letters
	StartedAt time.Time  `json:"startedAt"`
	HeldAt    *time.Time `json:"heldAt"`
	ExpiresAt *time.Time `json:"expiresAt"` // held runs: until when it can be approved
	DecidedAt *time.Time `json:"decidedAt"`
	EndedAt   *time.Time `json:"endedAt"`
}

// DeletionsQuestion asks for runs, newest first.
type DeletionsQuestion struct {
	CustomerID string `json:"customerId,omitempty"` // only this customer's
	Entity     string `json:"entity,omitempty"`     // only those about user or gift
	Before     int64  `json:"before,omitempty"`     // runs with a smaller id: the Next of the page before
	Limit      int32  `json:"limit,omitempty"`      // at most 200, default 50
}

// DeletionsReply is one page of runs; Next is null on the last.
type DeletionsReply struct {
	Deletions []DeletionRun `json:"deletions"`
	Next      *int64        `json:"next"`
}

// DeletionQuestion asks for one run with the users that it is about.
type DeletionQuestion struct {
	CustomerID string `json:"customerId"`
	Entity     string `json:"entity,omitempty"` // user, the default, or gift
	RunID      int64  `json:"runId,omitempty"`  // 0: the one that is not ended, otherwise the newest
	State      string `json:"state,omitempty"`  // only users in this state
	After      string `json:"after,omitempty"`  // users behind this one: the Next of the page before
	Limit      int32  `json:"limit,omitempty"`  // at most 200, default 50

	WithoutEmail bool `json:"withoutEmail,omitempty"` // their addresses stay sealed, so that the question is not audited
}

// DeletionShown is what `rollcall deletions show` shows.
type DeletionShown struct {
	DeletionRun

	Candidates []DeletionCandidate `json:"candidates"`
	Next       *string             `json:"next"` // null on the last page
}

// DeletionCandidate is a user at the destination, or a known gift, that the list did not show.
type DeletionCandidate struct {
	VomoID          string     `json:"vomoId"`          // "" for a gift
	VirtuousGiftID  *int64     `json:"virtuousGiftId"`  // null for a user
	State           string     `json:"state"`           // missing, confirmed, found, unknown, deleted, failed, undo or restored
	Code            *string    `json:"code"`            // why it is unknown, failed or not restored
	Email           *string    `json:"email"`           // null: it has none, or it cannot be opened any more
	SourceUpdatedAt *time.Time `json:"sourceUpdatedAt"` // null for a gift
	AskedAt         *time.Time `json:"askedAt"`
	DeletedAt       *time.Time `json:"deletedAt"`
}

// DeletionCommand asks rollcall.api.deletions.scan, approve or reject.
type DeletionCommand struct {
	CustomerID string `json:"customerId"`
	Entity     string `json:"entity,omitempty"` // user, the default, or gift
	RunID      int64  `json:"runId,omitempty"`  // approve and reject: only if this is the held run
}

// Values of DeletionCommanded.Action.
const (
	DeletionScanStarted = "started"
	DeletionScanRunning = "already_running"
	DeletionApproved    = "approved"
	DeletionRejected    = "rejected"
)

// DeletionCommanded says what the command did, and returns the run after it; null for a scan that has not begun yet.
type DeletionCommanded struct {
	Action   string       `json:"action"`
	Deletion *DeletionRun `json:"deletion"`
}

// UndoCommand asks rollcall.api.deletions.undo to bring back users or gifts that were deleted: these, or all of a run.
type UndoCommand struct {
	CustomerID string   `json:"customerId"`
	Entity     string   `json:"entity,omitempty"` // user, the default, or gift
	VomoIDs    []string `json:"vomoIds,omitempty"`
	GiftIDs    []int64  `json:"virtuousGiftIds,omitempty"`
	RunID      int64    `json:"runId,omitempty"`
}

// UndoCommanded says which users or gifts are read again. What comes of each is shown by rollcall.api.deletions.show.
type UndoCommanded struct {
	Users      int64    `json:"users"`      // that are read again
	Gifts      int64    `json:"gifts"`      // that are read again
	RunIDs     []int64  `json:"runIds"`     // the runs that deleted them
	NotDeleted []string `json:"notDeleted"` // of the given ids, those that no scan deleted within 7 days
}
