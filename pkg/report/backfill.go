package report

import (
	"context"
	"math"
	"time"

	"rollcall.dev/pkg/store"
)

// pageSize is VOMO's, and cannot be changed there.
const pageSize = 15

// windowSize is how many users are compared with VOMO's count by one request, at the end.
const windowSize = 300

// BackfillRequests is how many requests to VOMO a backfill of that many users takes while no user comes or goes:
// its pages, and one for each window that is compared at the end.
func BackfillRequests(users int64) int64 { return max(pagesOf(users), 1) + windowsOf(users) }

func pagesOf(users int64) int64 { return (users + pageSize - 1) / pageSize }

// windowsOf is 0 if one window holds all users: the last page has shown its count.
func windowsOf(users int64) int64 {
	if users <= windowSize {
		return 0
	}
	return (users + windowSize - 1) / windowSize
}

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

// BackfillOf shows a run.
func BackfillOf(run store.Run) Backfill {
	shown := Backfill{
		ID: run.ID, CustomerID: run.Customer, State: string(run.State), Processed: run.Processed, Total: run.LastTotal,
		Written: run.Written, Skipped: run.Skipped, Failures: run.Failures, Pages: run.Pages, Recovered: run.Recovered,
		Verified: run.Verified, Phase: string(run.Phase), Rewrite: run.Rewrite != nil, TraceID: run.TraceID,
		CreatedAt: run.CreatedAt, StartedAt: run.StartedAt, UpdatedAt: run.UpdatedAt, CompletedAt: run.CompletedAt,
	}
	if run.ParkReason != "" {
		shown.ParkReason = &run.ParkReason
	}
	if run.State == store.RunParked {
		shown.DueAt = &run.DueAt
	}
	var perSecond float64
	if run.Pages > 1 && run.ActiveSeconds > 0 {
		perSecond = float64(run.Pages) / run.ActiveSeconds
		perMinute := math.Round(perSecond*600) / 10
		shown.RequestsPerMinute = &perMinute
	}
	switch {
	case run.State == store.RunCompleted:
		shown.EtaSeconds = new(int64)
	case run.State.Open() && perSecond > 0 && run.LastTotal != nil:
		requests := pagesOf(max(*run.LastTotal-run.Processed, 0)) + windowsOf(*run.LastTotal)
		eta := int64(math.Ceil(float64(requests) / perSecond))
		shown.EtaSeconds = &eta
	}
	return shown
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

// A run is some 600 bytes of JSON: a page stays far below NATS's 256 KiB for an answer.
const (
	defaultLimit = 50
	maxLimit     = 200
)

// pageLimit returns how many entries a page has: those asked for, or a default, and at most most.
func pageLimit(asked, most int32) int32 {
	if asked <= 0 {
		return min(defaultLimit, most)
	}
	return min(asked, most)
}

// Backfills answers rollcall.api.backfills.ls.
func Backfills(ctx context.Context, from *store.Store, question BackfillsQuestion) (BackfillsReply, error) {
	reply := BackfillsReply{Backfills: []Backfill{}}
	if question.CustomerID != "" {
		run, err := from.LatestRun(ctx, question.CustomerID)
		if err != nil {
			return reply, err
		}
		reply.Backfills = append(reply.Backfills, BackfillOf(run))
		return reply, nil
	}
	limit := pageLimit(question.Limit, maxLimit)
	before := question.Before
	if before <= 0 {
		before = math.MaxInt64
	}
	runs, err := from.Runs(ctx, before, limit+1) // one more tells whether this page is the last
	if err != nil {
		return reply, err
	}
	if len(runs) > int(limit) {
		runs = runs[:limit]
		reply.Next = &runs[limit-1].ID
	}
	for _, run := range runs {
		reply.Backfills = append(reply.Backfills, BackfillOf(run))
	}
	return reply, nil
}
