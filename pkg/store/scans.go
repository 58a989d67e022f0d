package store

import (
	"context"
	"math"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// ScanPhase is which part of a complete scan is under way.
type ScanPhase string

// A scan reads the whole list first, and then compares it window by window with what VOMO counts.
const (
	PhasePages   ScanPhase = "pages"
	PhaseWindows ScanPhase = "windows"
)

// The phases of a deletion scan after it has read the users; PhaseUndo is one of a run of its own.
const (
	PhaseCompare ScanPhase = "compare" // users at the destination that the scan did not see become candidates
	PhaseAsk     ScanPhase = "ask"     // VOMO is asked for each candidate by id
	PhaseDelete  ScanPhase = "delete"
	PhaseUndo    ScanPhase = "undo"
)

// WindowUnit is how finely VOMO has shown itself to honour filters by created_at.
type WindowUnit string

// UnitNone: the filters are ignored, so that the whole set is one window.
const (
	UnitSecond WindowUnit = "second"
	UnitDay    WindowUnit = "day"
	UnitNone   WindowUnit = "none"
)

// Cursor is where a complete scan stands. It moves in each page's transaction and is what a successor resumes
// from. Package scan says how it moves.
type Cursor struct {
	Phase          ScanPhase `json:"phase,omitzero"`        // "" is PhasePages
	NextPage       int       `json:"nextPage,omitzero"`     // of the list, or of the window
	LastTotal      *int64    `json:"lastTotal,omitzero"`    // meta.total of the list on its last committed page
	FurthestPage   int       `json:"furthestPage,omitzero"` // the highest page of the list committed so far
	StepsBack      int       `json:"stepsBack,omitzero"`    // how often the total fell
	RereadPages    int       `json:"rereadPages,omitzero"`  // what stepping back has cost
	StalePages     int       `json:"stalePages,omitzero"`   // pages in a row, each further than all before, without a new user
	UnresolvedFall bool      `json:"doubt,omitzero"`        // a fall of the total was not followed up

	WindowFrom    *time.Time `json:"windowFrom,omitzero"`    // created_at; nil: from the beginning
	WindowTo      *time.Time `json:"windowTo,omitzero"`      // exclusive; nil: to the end
	WindowUnit    WindowUnit `json:"windowUnit,omitzero"`    // "" is UnitSecond
	WindowReading bool       `json:"windowReading,omitzero"` // false: the window is counted; true: it is read, page by page
	WindowTotal   *int64     `json:"windowTotal,omitzero"`   // meta.total on the pages of this reading
	WindowTries   int        `json:"windowTries,omitzero"`   // readings of this window that did not agree
	Unsettled     int        `json:"unsettled,omitzero"`     // windows given up without agreement
	Pass          int        `json:"pass,omitzero"`          // the number of the reading, for ScanSeen

	After string        `json:"after,omitzero"` // what works users in the order of their ids: the last one
	Batch *RequestBatch `json:"batch,omitzero"` // cycles of participations: what may be requested until the next batch
}

// RequestBatch is how many requests a run may send from one moment until a minute later. The counts are those of the customer's
// budget at that moment.
type RequestBatch struct {
	At     time.Time `json:"at"`
	Quota  int64     `json:"quota"`
	Own    int64     `json:"own"`    // requests that the run's job had spent
	Others int64     `json:"others"` // requests that other jobs had spent
}

// column brings a count into the range of an integer column; no real one comes near its end.
func column(n int) int32 { return int32(min(n, math.MaxInt32)) } //nolint:gosec // bounded

// SeenUser is an id of a page; CreatedAt is zero if VOMO gave none.
type SeenUser struct {
	ID        string
	CreatedAt time.Time
}

// NoteSeen notes a page's ids, each once in users, under the number of the reading. A pipelined transaction defers the statements.
func (t *Tx) NoteSeen(ctx context.Context, scan int64, pass int, users []SeenUser) error {
	if len(users) == 0 {
		return nil
	}
	params := &db.SeenInsertNewParams{ScanID: scan, Pass: column(pass)}
	for _, user := range users {
		params.Ids = append(params.Ids, user.ID)
		params.CreatedAts = append(params.CreatedAts, user.CreatedAt)
	}
	if err := t.deferred(func(on db.DBTX) error { return t.queries.SeenInsertNew(ctx, on, params) }); err != nil || pass == 0 {
		return err
	}
	return t.deferred(func(on db.DBTX) error {
		return t.queries.SeenMarkPass(ctx, on, &db.SeenMarkPassParams{ScanID: scan, Pass: params.Pass, Ids: params.Ids})
	})
}

// NthCreated returns the time of creation of the id that has skip others before it, counted from a time on; nil
// if there are not so many.
func (c Conn) NthCreated(ctx context.Context, scan int64, from *time.Time, skip int) (*time.Time, error) {
	row, err := c.queries.SeenNthCreated(ctx, c.dbtx, &db.SeenNthCreatedParams{ScanID: scan, CreatedFrom: from, Skip: column(skip)})
	if isNotFound(err) || (err == nil && row.ScanID != scan) {
		return nil, nil //nolint:nilnil // nil is no such time
	}
	if err != nil {
		return nil, err
	}
	return row.CreatedAt, nil
}

// forgetAtOnce keeps the deletion of a large scan from becoming one long transaction.
const forgetAtOnce = 1000

// ForgetFinishedScans deletes what scans noted whose job ended longer than age ago, one batch of each scan; more says that
// there is something left to delete.
func (c Conn) ForgetFinishedScans(ctx context.Context, age time.Duration) (more bool, err error) {
	scans, err := c.queries.SeenFinishedScans(ctx, c.dbtx, age)
	if err != nil {
		return false, err
	}
	for _, scan := range scans {
		deleted, err := c.queries.SeenForget(ctx, c.dbtx, &db.SeenForgetParams{ScanID: scan, AtMost: forgetAtOnce})
		if err != nil {
			return false, err
		}
		more = more || deleted == forgetAtOnce
	}
	return more, nil
}
