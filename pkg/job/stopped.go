package job

import (
	"context"

	"rollcall.dev/pkg/store"
)

// StoppedBy says in words why whoever works for a customer lost the lane where no other worker has it: an operator took
// the customer away, or did so and gave it back meanwhile. It is "" for any other reason, and where the customer cannot be
// read. before is the customer as the work began.
func StoppedBy(ctx context.Context, from store.Conn, before store.Customer) string {
	now, err := from.Customer(ctx, before.ID)
	switch {
	case err != nil:
		return ""
	case !now.Active():
		return "the customer was paused, switched off or offboarded"
	case now.ActiveSince != nil && (before.ActiveSince == nil || now.ActiveSince.After(*before.ActiveSince)):
		return "the customer was stopped for a moment, and goes on again"
	}
	return ""
}
