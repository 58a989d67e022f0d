package dev

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/structpb"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func TestDemonstrationPublishesThePlainMessageAndPrintsTheComparison(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.onRequest = i.accept
	i.backfills = []operatorapi.Backfill{backfill("queued", 0), backfill("running", 450), backfill("completed", 1_000)}
	i.found = comparison{Source: 1_000}

	require.NoError(t, i.demo.run(t.Context()))

	require.Equal(t, []string{`{"customerId":"demo","vomoToken":"sandbox-demo-token","externalSystemUrl":"` +
		i.demo.sandbox.address + `/crm/demo"}`}, i.requests)
	require.Contains(t, i.shown.String(), "onboarded: 1,000 users; at the limits in force their backfill takes about 41 s\n")
	require.Contains(t, i.shown.String(), "\n1,000 of 1,000 users mirrored, 0 differences\n"+
		"rate: 99.0 of 100 requests a minute allowed (99 %), never more than 68 in any sliding minute\n")
	require.Regexp(t, `\n5 users edited in VOMO, and polled: \d\.\d s later 1,000 of 1,000 users mirrored, 0 differences\n`, i.shown.String())
	require.NoError(t, i.conn.Flush())
	i.mu.Lock()
	defer i.mu.Unlock()
	require.Equal(t, []int{5, 1}, []int{i.edited, i.polls})
}

func TestDifferenceFailsTheDemonstrationAndIsNamed(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.onRequest = i.accept
	i.backfills = []operatorapi.Backfill{backfill("completed", 1_000)}
	i.found = comparison{Source: 1_000, Missing: 1, MissingIDs: []string{"vomo-17"}}
	require.ErrorIs(t, i.demo.run(t.Context()), errDifferences)
	require.Contains(t, i.shown.String(), "\n999 of 1,000 users mirrored, 1 difference\n")
	require.Contains(t, i.shown.String(), "  vomo-17 is missing in the destination\n")
}

func TestRejectedOnboardingFailsTheDemonstrationWithItsReasons(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.onRequest = func(*rollcallv1.OnboardingRequest) {
		reasons, err := structpb.NewList([]any{"Token rejected by VOMO API"})
		if err != nil {
			t.Errorf("make list: %v", err)
		}
		i.publishOnboarding(event.OnboardingDelayed, &rollcallv1.OnboardingDelayed{CustomerId: demoOrg, Reason: "VOMO answers 503"})
		i.publishOnboarding(event.OnboardingRejected, &rollcallv1.OnboardingRejected{
			CustomerId: demoOrg, Errors: map[string]*structpb.ListValue{"vomoToken": reasons},
		})
	}
	err := i.demo.run(t.Context())
	require.ErrorIs(t, err, errRejected)
	require.ErrorContains(t, err, "vomoToken: Token rejected by VOMO API")
	require.Contains(t, i.shown.String(), "the onboarding waits and is tried again: VOMO answers 503\n")
}

func TestMirroredCustomerIsOnlyCompared(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.backfills = []operatorapi.Backfill{backfill("completed", 1_000)}
	i.found = comparison{Source: 1_000}
	require.NoError(t, i.demo.run(t.Context()))
	require.Empty(t, i.requests)
	require.Contains(t, i.shown.String(), "demo is mirrored already")
	require.Contains(t, i.shown.String(), "\n1,000 of 1,000 users mirrored, 0 differences\n")
}

func TestUnfinishedBackfillIsAwaitedAndNotRequestedAgain(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.backfills = []operatorapi.Backfill{backfill("running", 300), backfill("completed", 1_000)}
	i.found = comparison{Source: 1_000}
	require.NoError(t, i.demo.run(t.Context()))
	require.Empty(t, i.requests)
	require.Contains(t, i.shown.String(), "its backfill goes on where it stopped")
}

func TestOnboardingWithoutEventIsSeenInTheBackfills(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.onRequest = func(*rollcallv1.OnboardingRequest) {} // worked before: no second event
	i.backfills = []operatorapi.Backfill{backfill("completed", 1_000)}
	i.found = comparison{Source: 1_000}
	require.NoError(t, i.demo.run(t.Context()))
}

func TestFailedBackfillFailsTheDemonstration(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.onRequest = i.accept
	i.backfills = []operatorapi.Backfill{backfill("running", 300), backfill("failed", 300)}
	err := i.demo.run(t.Context())
	require.ErrorIs(t, err, errBackfill)
	require.ErrorContains(t, err, "it failed after 300 users; see the logs in /data")
}

func TestDemonstrationThatTakesTooLongSaysHowManyUsersWereRead(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.backfills = []operatorapi.Backfill{backfill("running", 300)}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.ErrorContains(t, i.demo.run(ctx), "it is running after 300 users")
}
