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
	Phase        ScanPhase `json:"phase,omitzero"`        // "" is PhasePages
	NextPage     int       `json:"nextPage,omitzero"`     // of the list, or of the window
	LastTotal    *int64    `json:"lastTotal,omitzero"`    // meta.total of the list on its last committed page
	FurthestPage int       `json:"furthestPage,omitzero"` // the highest page of the list committed so far
	StepsBack    int       `json:"stepsBack,omitzero"`    // how often the total fell
	RereadPages  int       `json:"rereadPages,omitzero"`  // what stepping back has cost
	StalePages   int       `json:"stalePages,omitzero"`   // pages in a row, each further than all before, that brought nobody new
	Doubt        bool      `json:"doubt,omitzero"`        // a fall of the total was not followed up

	WindowFrom    *time.Time `json:"windowFrom,omitzero"`    // created_at; nil: from the beginning
	WindowTo      *time.Time `json:"windowTo,omitzero"`      // exclusive; nil: to the end
	WindowUnit    WindowUnit `json:"windowUnit,omitzero"`    // "" is UnitSecond
	WindowReading bool       `json:"windowReading,omitzero"` // false: the window is counted; true: it is read, page by page
	WindowTotal   *int64     `json:"windowTotal,omitzero"`   // meta.total on the pages of this reading
	WindowTries   int        `json:"windowTries,omitzero"`   // readings of this window that did not agree
	Unsettled     int        `json:"unsettled,omitzero"`     // windows given up without agreement
	Pass          int        `json:"pass,omitzero"`          // the number of the reading, for ScanSeen
}

func cursorFrom(row *db.BackfillRun) Cursor {
	return Cursor{
		Phase: ScanPhase(row.Phase), NextPage: int(row.NextPage), LastTotal: row.LastTotal,
		FurthestPage: int(row.FurthestPage), StepsBack: int(row.StepsBack), RereadPages: int(row.RereadPages),
		StalePages: int(row.StalePages), Doubt: row.Doubt,
		WindowFrom: row.WindowFrom, WindowTo: row.WindowTo, WindowUnit: WindowUnit(row.WindowUnit),
		WindowReading: row.WindowReading, WindowTotal: row.WindowTotal, WindowTries: int(row.WindowTries),
		Unsettled: int(row.Unsettled), Pass: int(row.Pass),
	}
}

func (c Cursor) into(params *db.RunAdvanceOrFailParams) {
	phase, unit := c.Phase, c.WindowUnit
	if phase == "" {
		phase = PhasePages
	}
	if unit == "" {
		unit = UnitSecond
	}
	params.Phase, params.NextPage, params.LastTotal = string(phase), column(c.NextPage), c.LastTotal
	params.FurthestPage, params.StepsBack, params.RereadPages = column(c.FurthestPage), column(c.StepsBack), column(c.RereadPages)
	params.WindowFrom, params.WindowTo, params.WindowUnit = c.WindowFrom, c.WindowTo, string(unit)
	params.WindowReading, params.WindowTotal, params.WindowTries = c.WindowReading, c.WindowTotal, column(c.WindowTries)
	params.StalePages, params.Doubt = column(c.StalePages), c.Doubt
	params.Unsettled, params.Pass = column(c.Unsettled), column(c.Pass)
}

// column brings a count into the range of an integer column; no real one comes near its end.
func column(n int) int32 { return int32(min(n, math.MaxInt32)) } //nolint:gosec // bounded

// SeenUser is an id that a page held; CreatedAt is zero where VOMO gave none.
type SeenUser struct {
	ID        string
	CreatedAt time.Time
}

// NoteSeen notes a page's ids, each once in users, under the number of the reading; fresh is how many of them
// the scan had not met before.
func (t *Tx) NoteSeen(ctx context.Context, scan int64, pass int, users []SeenUser) (fresh int64, err error) {
	if len(users) == 0 {
		return 0, nil
	}
	params := &db.SeenInsertNewParams{ScanID: scan, Pass: column(pass)}
	for _, user := range users {
		params.Ids = append(params.Ids, user.ID)
		params.CreatedAts = append(params.CreatedAts, user.CreatedAt)
	}
	if fresh, err = t.queries.SeenInsertNew(ctx, t.dbtx, params); err != nil || pass == 0 {
		return fresh, wrap("note what was seen", err)
	}
	return fresh, t.later("note what was seen again", func(on db.DBTX) error {
		return t.queries.SeenMarkPass(ctx, on, &db.SeenMarkPassParams{ScanID: scan, Pass: params.Pass, Ids: params.Ids})
	})
}

// CountSeen is how many ids the scan has met.
func (c Conn) CountSeen(ctx context.Context, scan int64) (int64, error) {
	count, err := c.queries.SeenCount(ctx, c.dbtx, scan)
	return count, wrap("count what was seen", err)
}

// CountSeenBetween counts the ids created from (inclusive) to (exclusive); nil is no bound. Ids without a time
// of creation are in no window.
func (c Conn) CountSeenBetween(ctx context.Context, scan int64, from, to *time.Time) (int64, error) {
	count, err := c.queries.SeenCountBetween(ctx, c.dbtx, &db.SeenCountBetweenParams{ScanID: scan, CreatedFrom: from, CreatedTo: to})
	return count, wrap("count what was seen", err)
}

// CountSeenIn counts the ids that were met in the reading of that number.
func (c Conn) CountSeenIn(ctx context.Context, scan int64, pass int) (int64, error) {
	count, err := c.queries.SeenCountPass(ctx, c.dbtx, &db.SeenCountPassParams{ScanID: scan, Pass: column(pass)})
	return count, wrap("count what was seen", err)
}

// NthCreated is the time of creation of the id that has skip others before it, counted from a time on; nil
// where there are not so many.
func (c Conn) NthCreated(ctx context.Context, scan int64, from *time.Time, skip int) (*time.Time, error) {
	row, err := c.queries.SeenNthCreated(ctx, c.dbtx, &db.SeenNthCreatedParams{ScanID: scan, CreatedFrom: from, Skip: column(skip)})
	if noRows(err) || (err == nil && row.ScanID != scan) {
		return nil, nil //nolint:nilnil // nil is no such time
	}
	if err != nil {
		return nil, wrap("cut what was seen", err)
	}
	return row.CreatedAt, nil
}

// forgetAtOnce keeps the deletion of a large scan from becoming one long transaction.
const forgetAtOnce = 10_000

// ForgetFinishedScans deletes what scans noted whose job is over, one batch of each scan; more says that there
// is something left to delete.
func (c Conn) ForgetFinishedScans(ctx context.Context) (more bool, err error) {
	scans, err := c.queries.SeenFinishedScans(ctx, c.dbtx)
	if err != nil {
		return false, wrap("list finished scans", err)
	}
	for _, scan := range scans {
		deleted, err := c.queries.SeenForget(ctx, c.dbtx, &db.SeenForgetParams{ScanID: scan, AtMost: forgetAtOnce})
		if err != nil {
			return false, wrap("forget a finished scan", err)
		}
		more = more || deleted == forgetAtOnce
	}
	return more, nil
}
