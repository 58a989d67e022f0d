package main

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

func TestRunAboveTheGuardIsHeldUntilItIsApproved(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(100)
	f.start()
	f.scanDeletions(1)
	f.removeRange(71, 100)

	require.Equal(t, "held share scanned 70 missing 30 confirmed 30 deleted 0 failed 0", f.scanDeletions(2))

	require.Empty(t, f.deletions())
	require.Equal(t, []string{"deletions_held"}, f.activeAlerts())
	held, _ := ask[operatorapi.DeletionShown](f, "show", operatorapi.DeletionQuestion{CustomerID: "acme"})
	require.Equal(t, "30 of 100 users (30.0 %) would be deleted, which is more than DELETION_GUARD allows.", *held.Text)
	_, code := ask[operatorapi.DeletionCommanded](f, "scan", operatorapi.DeletionCommand{CustomerID: "acme"})
	require.Equal(t, service.CodeConflict, code, "no other scan begins while one is held")
	f.publish(deletionSubject, plain)
	require.Eventually(t, func() bool { return f.waiting() == 0 }, soon, 20*time.Millisecond)
	// One of them is there again, and VOMO does not answer for another.
	f.locked(func() {
		f.people[80] = person{phone: "back", updated: morning}
		f.details[81] = "403"
	})

	decided, _ := ask[operatorapi.DeletionCommanded](f, "approve", operatorapi.DeletionCommand{CustomerID: "acme", RunID: held.ID})

	require.Equal(t, operatorapi.DeletionApproved, decided.Action)
	require.Equal(t, "done share scanned 70 missing 30 confirmed 28 deleted 28 failed 0", f.waitScan(2))
	require.Len(t, f.deletions(), 28)
	require.NotContains(t, f.deletions(), "crm-80")
	require.NotContains(t, f.deletions(), "crm-81")
	require.Empty(t, f.activeAlerts())
	require.Equal(t, []int{72}, values[int](f, `SELECT count(*) FROM user_mappings`))
}

func TestRejectedAndExpiredRunsDeleteNoUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(40)
	f.start()
	f.scanDeletions(1)
	f.removeRange(21, 40)
	require.Equal(t, "held share scanned 20 missing 20 confirmed 20 deleted 0 failed 0", f.scanDeletions(2))

	_, code := ask[operatorapi.DeletionCommanded](f, "reject", operatorapi.DeletionCommand{CustomerID: "acme"})
	require.Empty(t, code)
	require.Empty(t, f.activeAlerts())
	_, code = ask[operatorapi.DeletionCommanded](f, "approve", operatorapi.DeletionCommand{CustomerID: "acme"})
	require.Equal(t, service.CodeConflict, code)

	require.Equal(t, "held share scanned 20 missing 20 confirmed 20 deleted 0 failed 0", f.scanDeletions(3))
	f.clock(morning.Add(14*24*time.Hour + time.Hour))
	f.stopAndStart()
	require.Eventually(t, func() bool { return strings.HasPrefix(f.lastScan(), "expired") }, soon, 20*time.Millisecond)
	require.Empty(t, f.activeAlerts())
	require.Empty(t, f.deletions())
	require.Equal(t, []int{40}, values[int](f, `SELECT count(*) FROM user_mappings`))
}

func TestSourceWithoutAnyUserIsHeldAndCannotBeApproved(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(8)
	f.start()
	f.scanDeletions(1)
	f.removeRange(1, 8)

	require.Equal(t, "held empty_source scanned 0 missing 8 confirmed 0 deleted 0 failed 0", f.scanDeletions(2))

	require.Equal(t, []string{"deletions_held"}, f.activeAlerts())
	_, code := ask[operatorapi.DeletionCommanded](f, "approve", operatorapi.DeletionCommand{CustomerID: "acme"})
	require.Equal(t, service.CodeConflict, code)
	require.Empty(t, f.deletions())
}

func TestSourceWithFewerThanHalfIsHeldBeforeAnyUserIsAskedFor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(20)
	f.start()
	f.scanDeletions(1)
	f.removeRange(10, 20) // eleven: nine are left

	require.Equal(t, "held half_of_last_scan scanned 9 missing 11 confirmed 0 deleted 0 failed 0", f.scanDeletions(2))

	require.Equal(t, []string{"missing"}, values[string](f, `SELECT DISTINCT state FROM deletion_candidates`))
	_, code := ask[operatorapi.DeletionCommanded](f, "approve", operatorapi.DeletionCommand{CustomerID: "acme"})
	require.Empty(t, code)
	require.Equal(t, "done half_of_last_scan scanned 9 missing 11 confirmed 11 deleted 11 failed 0", f.waitScan(2))
}

func TestAllUsersOfASmallCustomerAreHeld(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(3)
	f.start()
	f.scanDeletions(1)
	f.removeRange(1, 3)
	f.change(yesterday, "of another organisation", 101, 102, 103)

	require.Equal(t, "held all scanned 3 missing 3 confirmed 3 deleted 0 failed 0", f.scanDeletions(2))
	require.Empty(t, f.deletions())
}

func TestCandidateThatWasWrittenMeanwhileIsNotAskedForAndKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(100)
	f.start()
	f.scanDeletions(1)
	f.removeRange(71, 100)
	require.Contains(t, f.scanDeletions(2), "held share")
	f.clock(morning.Add(time.Hour))
	f.exec(`UPDATE user_mappings SET last_synced_at = rollcall_now() WHERE vomo_user_id::int BETWEEN 71 AND 75`)

	_, code := ask[operatorapi.DeletionCommanded](f, "approve", operatorapi.DeletionCommand{CustomerID: "acme"})

	require.Empty(t, code)
	require.Equal(t, "done share scanned 70 missing 30 confirmed 25 deleted 25 failed 0", f.waitScan(2))
	for id := 71; id <= 75; id++ {
		require.NotContains(t, f.deletions(), "crm-"+strconv.Itoa(id))
	}
}

func TestHeldRunEndsWhenTheCustomerIsOffboarded(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(40)
	f.start()
	f.scanDeletions(1)
	f.removeRange(21, 40)
	require.Contains(t, f.scanDeletions(2), "held share")
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.CancelRuns(ctx, "acme", "offboarded") }))
	require.Contains(t, f.lastScan(), "failed share")
	require.Empty(t, f.deletions())
}
