package cli

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
)

// stream makes one of the product's streams.
func (i *installation) stream(name string) jetstream.Stream {
	i.t.Helper()
	for _, config := range bus.StreamConfigs(1) {
		if config.Name == name {
			return i.nats.Stream(i.t, config)
		}
	}
	require.Fail(i.t, "there is no such stream")
	return nil
}

// polledStatus is a customer who is polled, whose last poll and last reconciliation have these ids.
func polledStatus(id int64) report.Status {
	ended := &report.EndedRun{ID: id, StartedAt: moment1, CompletedAt: moment1, Outcome: "success", Processed: 12}
	return report.Status{
		CustomerID: "acme", AsOf: moment1, Integration: report.Integration{Enabled: true, OnboardedAt: moment1, BackfillCompletedAt: &moment1},
		Polling:        report.Polling{LastRun: ended},
		Reconciliation: report.Reconciliation{LastRun: ended, Expected: new(int64(12)), Gaps: new(int64(2))},
	}
}

func TestARequestIsPublishedAsAnybodyMayPublishIt(t *testing.T) {
	t.Parallel()
	for noun, want := range map[string]struct{ stream, subject string }{
		"poll":      {bus.StreamPoll, "rollcall.poll.request.acme"},
		"reconcile": {bus.StreamReconcile, "rollcall.reconcile.user_daily.acme"},
	} {
		t.Run(noun, func(t *testing.T) {
			t.Parallel()
			i := newInstallation(t)
			i.answers("status", "get", always(polledStatus(7)))
			none := i.run(noun, "now", "acme")
			require.Equal(t, exitFailed, none.code)
			require.Contains(t, none.stderr, "rollcall migrate")
			stream := i.stream(want.stream)

			got := i.run(noun, "now", "acme", "--json")

			require.Zero(t, got.code, got.stderr)
			require.Equal(t, requested{CustomerID: "acme", Subject: want.subject}, document[requested](t, got))
			message, err := stream.GetLastMsgForSubject(t.Context(), want.subject)
			require.NoError(t, err)
			require.JSONEq(t, `{"customerId":"acme"}`, string(message.Data))

			again := i.run(noun, "now", "acme")
			require.Zero(t, again.code, again.stderr)
			require.Contains(t, again.stdout, "already, which is enough")
			require.Equal(t, uint64(1), message.Sequence)
		})
	}
}

func TestWhoIsNotPolledIsToldWhyAndWhatHelps(t *testing.T) {
	t.Parallel()
	why, remedy := event.Explain(event.AlertAuthFailed)
	for name, c := range map[string]struct {
		change func(*report.Status)
		said   string
	}{
		"paused":     {func(s *report.Status) { s.Integration.PausedAt = &moment1 }, "rollcall resume acme"},
		"offboarded": {func(s *report.Status) { s.Integration.Enabled, s.Integration.OffboardedAt = false, &moment1 }, "was offboarded"},
		"new":        {func(s *report.Status) { s.Integration.BackfillCompletedAt = nil }, "rollcall backfill watch acme"},
		"refused by VOMO": {func(s *report.Status) {
			s.Integration.Enabled, s.Integration.DisabledReason = false, new(event.AlertAuthFailed)
			s.Health.Reasons = []report.Reason{{Code: event.AlertAuthFailed, Text: why, Remedy: remedy, Unhealthy: true}}
		}, remedy},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newInstallation(t)
			stream := i.stream(bus.StreamPoll)
			status := polledStatus(7)
			c.change(&status)
			i.answers("status", "get", always(status))
			got := i.run("poll", "now", "acme")
			require.Equal(t, exitFailed, got.code)
			require.Contains(t, got.stderr, c.said)
			info, err := stream.Info(t.Context())
			require.NoError(t, err)
			require.Zero(t, info.State.Msgs)
		})
	}
	i := newInstallation(t)
	i.answers("status", "get", unknown)
	require.Equal(t, globexUnknown(), i.run("reconcile", "now", "globex"))
}

func TestAWaitEndsWithTheNextRunAndSaysHow(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.stream(bus.StreamPoll)
	i.stream(bus.StreamReconcile)
	parked := polledStatus(7)
	parked.Polling.OpenRun = &report.OpenRun{ID: 8, State: "parked", ParkReason: new("vomo_unavailable"), DueAt: &moment1, StartedAt: moment1}
	i.answers("status", "get", inTurn(polledStatus(7), polledStatus(7), parked, parked, polledStatus(8)))

	got := i.run("poll", "now", "acme", "--wait")

	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "acme: poll requested\nacme: poll ended, 12 users read\n", got.stdout)
	why, _ := event.Explain("vomo_unavailable")
	require.Contains(t, got.stderr, why)
	require.Len(t, i.waits, 3)
}

func TestARequestIsPublishedAgainWhereWhatStoodInItsWayIsGone(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.answers("status", "get", always(polledStatus(7)))
	// A message of somebody else's that fills the stream is refused alike, and leaves nothing to be found under the subject.
	stream := i.nats.Stream(t, jetstream.StreamConfig{
		Name: bus.StreamPoll, Subjects: []string{"rollcall.poll.request.*"}, MaxMsgs: 1, Discard: jetstream.DiscardNew,
	})
	require.NoError(t, i.nats.Conn(t).Publish("rollcall.poll.request.other", nil))
	require.Eventually(t, func() bool { info, err := stream.Info(t.Context()); return err == nil && info.State.Msgs == 1 }, time.Minute, time.Millisecond)
	i.onWait = func(number int) {
		if number == 2 {
			require.NoError(t, stream.Purge(t.Context()))
		}
	}

	got := i.run("poll", "now", "acme")

	require.Equal(t, result{stdout: "acme: poll requested\n"}, got)
	require.Len(t, i.waits, 2)
}

func TestAWaitForAReconciliationTellsItsGaps(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.stream(bus.StreamReconcile)
	i.answers("status", "get", inTurn(polledStatus(7), polledStatus(8)))
	got := i.run("reconcile", "now", "acme", "--wait")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "acme: reconciliation ended, 12 users read, 2 gaps\n")
}

func TestAWaitForARunThatFailsIsExitStatusOne(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.stream(bus.StreamPoll)
	failed := polledStatus(8)
	failed.Polling.LastRun.Outcome, failed.Polling.LastRun.ErrorCode = "failed", new("too_many_attempts")
	i.answers("status", "get", inTurn(polledStatus(7), failed))
	got := i.run("poll", "now", "acme", "--wait", "--json")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "too_many_attempts")
	require.Equal(t, int64(8), document[requested](t, got).Run.ID)
}

func TestAWaitEndsWhenTheCustomerIsPausedMeanwhile(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.stream(bus.StreamPoll)
	paused := polledStatus(7)
	paused.Integration.PausedAt = new(moment1.Add(time.Minute))
	i.answers("status", "get", inTurn(polledStatus(7), polledStatus(7), paused))
	got := i.run("poll", "now", "acme", "--wait")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "stopped waiting for the poll")
}

func TestAWaitSaysWhenNobodyTakesTheRequestUp(t *testing.T) {
	t.Parallel()
	i := newInstallation(t)
	i.stream(bus.StreamPoll)
	many := make([]report.Status, 0, 30)
	for range 25 {
		many = append(many, polledStatus(7))
	}
	i.answers("status", "get", inTurn(append(many, polledStatus(8))...))
	got := i.run("poll", "now", "acme", "--wait")
	require.Zero(t, got.code)
	require.Contains(t, got.stderr, "the poller service has not taken it up yet")
}
