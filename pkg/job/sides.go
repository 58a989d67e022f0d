package job

import (
	"context"
	"slices"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
)

// Sides are VOMO and the destination, opened for one execution of a run. They are used by the page that is being committed, or
// while none is.
type Sides struct {
	Source *connector.Source
	Lane   *mirror.Lane
	// Options are those of the next page. What the run was parked for decides about the first one.
	Options mirror.ApplyOptions

	// parkAlerts means that alerts of parks are active, which a committed page clears.
	parkAlerts bool
}

// OpenSides opens both sides for the run, and finds out how its first page is written. operation is the one in sync_audit, "" for
// create or update by the mapping; events says whether users are published as events.
func (e *Execution) OpenSides(ctx context.Context, operation string, events bool) (*Sides, error) {
	name := e.Kind.Job(e.Customer)
	opening := e.Connect.Opening(e.Customer, e.Lease, e.sides, e.grant)
	source, err := opening.Source(ctx, name)
	if err != nil {
		return nil, err
	}
	lane, err := opening.Lane(ctx, connector.Job{
		Name: name, ID: e.Run.JobID, TraceID: e.Run.TraceID, Operation: operation, Events: events,
	})
	if err != nil {
		return nil, err
	}
	sides := &Sides{
		Source: source, Lane: lane, Options: OptionsAfter(e.Run.ParkReason, e.Run.Parks), parkAlerts: slices.ContainsFunc(e.sides.Alerts, isParkAlert),
	}
	if rewrite := e.Run.Rewrite; rewrite != nil {
		sides.Options.RewriteBefore, sides.Options.NewSystem, sides.Options.AllowOlder = rewrite.Before, rewrite.NewSystem, true
	} else if owed := e.sides.RewriteOwed; owed != nil {
		sides.Options.RewriteOwed = true
		sides.Options.NewSystem = owed.NewSystem // ids that the destination before gave mean nothing
	}
	sides.Options.ForbiddenRejectsRecord, err = ForbiddenIsRecords(ctx, e.Store, source, lane, e.Run.ParkReason, e.Run.Parks)
	return sides, err
}

// ClearParks clears the alerts of parks in the transaction of a page, if any is active: see the function of that name.
func (s *Sides) ClearParks(ctx context.Context, tx *store.Tx, accepted bool) error {
	if !s.parkAlerts {
		return nil
	}
	return ClearParks(ctx, tx, s.Lane.Customer, accepted)
}

// PageCommitted makes the options those of a page that follows another: the cause of a park is over.
func (s *Sides) PageCommitted() {
	if s.Options.Probe || !s.Options.PresumeOutage || s.Options.ForbiddenRejectsRecord {
		s.Options.Probe, s.Options.ShortProbe, s.Options.PresumeOutage, s.Options.ForbiddenRejectsRecord = false, false, true, false
	}
}
