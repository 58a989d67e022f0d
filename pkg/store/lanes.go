package store

import (
	"context"

	"rollcall.dev/pkg/store/internal/db"
)

// laneRows runs the statements of a lane. Both lanes have the same statements, each on a table of its own.
type laneRows struct {
	lane    Lane
	queries *db.Queries
}

func (l laneRows) take(ctx context.Context, on db.DBTX, params *db.LeaseTakeIfFreeParams) (epoch int64, err error) {
	if l.lane == LaneGiving {
		return l.queries.GivingLeaseTakeIfFree(ctx, on, (*db.GivingLeaseTakeIfFreeParams)(params))
	}
	return l.queries.LeaseTakeIfFree(ctx, on, params)
}

func (l laneRows) markWanted(ctx context.Context, on db.DBTX, customer string) error {
	if l.lane == LaneGiving {
		return l.queries.GivingLeaseMarkWanted(ctx, on, customer)
	}
	return l.queries.LeaseMarkWanted(ctx, on, customer)
}

func (l laneRows) renew(ctx context.Context, on db.DBTX, params *db.LeaseRenewIfHeldParams) (wanted bool, err error) {
	if l.lane == LaneGiving {
		return l.queries.GivingLeaseRenewIfHeld(ctx, on, (*db.GivingLeaseRenewIfHeldParams)(params))
	}
	return l.queries.LeaseRenewIfHeld(ctx, on, params)
}

func (l laneRows) renewOrFail(ctx context.Context, on db.DBTX, params *db.LeaseRenewIfHeldParams) (wanted bool, err error) {
	if l.lane == LaneGiving {
		return l.queries.GivingLeaseRenewOrFail(ctx, on, (*db.GivingLeaseRenewOrFailParams)(params))
	}
	return l.queries.LeaseRenewOrFail(ctx, on, (*db.LeaseRenewOrFailParams)(params))
}

func (l laneRows) wanted(ctx context.Context, on db.DBTX, params *db.LeaseWantedIfHeldParams) (bool, error) {
	if l.lane == LaneGiving {
		return l.queries.GivingLeaseWantedIfHeld(ctx, on, (*db.GivingLeaseWantedIfHeldParams)(params))
	}
	return l.queries.LeaseWantedIfHeld(ctx, on, params)
}

func (l laneRows) release(ctx context.Context, on db.DBTX, params *db.LeaseReleaseIfHeldParams) (int64, error) {
	if l.lane == LaneGiving {
		return l.queries.GivingLeaseReleaseIfHeld(ctx, on, (*db.GivingLeaseReleaseIfHeldParams)(params))
	}
	return l.queries.LeaseReleaseIfHeld(ctx, on, params)
}
