package report

import (
	"context"
	"math"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// pageSize is VOMO's, and cannot be changed there.
const pageSize = 15

// windowSize is how many users are compared with VOMO's count by one request, at the end.
const windowSize = 300

// BackfillRequests returns how many requests to VOMO a backfill of that many users needs if no user is added or removed:
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

// BackfillOf returns a run in the form of the operator API.
func BackfillOf(run store.Run) operatorapi.Backfill {
	shown := operatorapi.Backfill{
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

// A run is some 600 bytes of JSON: a page stays far below NATS's 256 KiB for an answer.
const (
	defaultLimit = 50
	maxLimit     = 200
)

// pageLimit returns how many entries a page has: the requested number or the default, and at most most.
func pageLimit(asked, most int32) int32 {
	if asked <= 0 {
		return min(defaultLimit, most)
	}
	return min(asked, most)
}

// Backfills answers rollcall.api.backfills.ls.
func Backfills(ctx context.Context, from *store.Store, question operatorapi.BackfillsQuestion) (operatorapi.BackfillsReply, error) {
	reply := operatorapi.BackfillsReply{Backfills: []operatorapi.Backfill{}}
	if question.CustomerID != "" {
		run, err := from.LatestBackfill(ctx, question.CustomerID)
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
	runs, err := from.Backfills(ctx, before, limit+1) // one more tells whether this page is the last
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
