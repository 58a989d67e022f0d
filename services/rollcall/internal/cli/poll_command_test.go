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

// stream creates one of the product's streams.
func (f *fixture) stream(name string) jetstream.Stream {
	f.t.Helper()
	for _, config := range bus.StreamConfigs(1) {
		if config.Name == name {
			return f.nats.Stream(f.t, config)
		}
	}
	require.Fail(f.t, "there is no such stream")
	return nil
}

// polledStatus is the status of a polled customer, with this id for the last poll and the last reconciliation.
func polledStatus(id int64) report.Status {
	ended := &report.EndedRun{ID: id, StartedAt: testTime, CompletedAt: testTime, Outcome: "success", Processed: 12}
	return report.Status{
		CustomerID: "acme", AsOf: testTime, Integration: report.Integration{Enabled: true, OnboardedAt: testTime, BackfillCompletedAt: &testTime},
		Polling:        report.Polling{LastRun: ended},
		Reconciliation: report.Reconciliation{LastRun: ended, Expected: new(int64(12)), Gaps: new(int64(2))},
	}
}

func TestPollNowPublishesAPlainRequest(t *testing.T) {
	t.Parallel()
	for noun, want := range map[string]struct{ stream, subject string }{
		"poll":      {bus.StreamPoll, "rollcall.poll.request.acme"},
		"reconcile": {bus.StreamReconcile, "rollcall.reconcile.user_daily.acme"},
	} {
		t.Run(noun, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.answers("status", "get", always(polledStatus(7)))
			none := f.run(noun, "now", "acme")
			require.Equal(t, exitFailed, none.code)
			require.Contains(t, none.stderr, "rollcall migrate")
			stream := f.stream(want.stream)

			got := f.run(noun, "now", "acme", "--json")

			require.Zero(t, got.code, got.stderr)
			require.Equal(t, requested{CustomerID: "acme", Subject: want.subject}, document[requested](t, got))
			message, err := stream.GetLastMsgForSubject(t.Context(), want.subject)
			require.NoError(t, err)
			require.JSONEq(t, `{"customerId":"acme"}`, string(message.Data))

			again := f.run(noun, "now", "acme")
			require.Zero(t, again.code, again.stderr)
			require.Contains(t, again.stdout, "already, which is enough")
			require.Equal(t, uint64(1), message.Sequence)
		})
	}
}

func TestPollNowOfACustomerThatIsNotPolledPrintsReasonAndRemedy(t *testing.T) {
	t.Parallel()
	why, remedy := event.Explain(event.AlertAuthFailed)
	for name, c := range map[string]struct {
		change func(*report.Status)
		said   string
	}{
		"paused":     {func(s *report.Status) { s.Integration.PausedAt = &testTime }, "rollcall resume acme"},
		"offboarded": {func(s *report.Status) { s.Integration.Enabled, s.Integration.OffboardedAt = false, &testTime }, "was offboarded"},
		"new":        {func(s *report.Status) { s.Integration.BackfillCompletedAt = nil }, "rollcall backfill watch acme"},
		"refused by VOMO": {func(s *report.Status) {
			s.Integration.Enabled, s.Integration.DisabledReason = false, new(event.AlertAuthFailed)
			s.Health.Reasons = []report.Reason{{Code: event.AlertAuthFailed, Text: why, Remedy: remedy, Unhealthy: true}}
		}, remedy},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			stream := f.stream(bus.StreamPoll)
			status := polledStatus(7)
			c.change(&status)
			f.answers("status", "get", always(status))
			got := f.run("poll", "now", "acme")
			require.Equal(t, exitFailed, got.code)
			require.Contains(t, got.stderr, c.said)
			info, err := stream.Info(t.Context())
			require.NoError(t, err)
			require.Zero(t, info.State.Msgs)
		})
	}
	f := newFixture(t)
	f.answers("status", "get", unknown)
	require.Equal(t, unknownGlobex(), f.run("reconcile", "now", "globex"))
}

func TestPollNowWaitsForTheNextRunAndPrintsItsOutcome(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stream(bus.StreamPoll)
	f.stream(bus.StreamReconcile)
	parked := polledStatus(7)
	parked.Polling.OpenRun = &report.OpenRun{ID: 8, State: "parked", ParkReason: new("vomo_unavailable"), DueAt: &testTime, StartedAt: testTime}
	f.answers("status", "get", inTurn(polledStatus(7), polledStatus(7), parked, parked, polledStatus(8)))

	got := f.run("poll", "now", "acme", "--wait")

	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "acme: poll requested\nacme: poll ended, 12 users read\n", got.stdout)
	why, _ := event.Explain("vomo_unavailable")
	require.Contains(t, got.stderr, why)
	require.Len(t, f.waits, 3)
}

func TestPollNowPublishesAgainIfTheBlockingRequestIsGone(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("status", "get", always(polledStatus(7)))
	// Another publisher's message that fills the stream causes the same error, and there is no message under the subject.
	stream := f.nats.Stream(t, jetstream.StreamConfig{
		Name: bus.StreamPoll, Subjects: []string{"rollcall.poll.request.*"}, MaxMsgs: 1, Discard: jetstream.DiscardNew,
	})
	require.NoError(t, f.nats.Conn(t).Publish("rollcall.poll.request.other", nil))
	require.Eventually(t, func() bool { info, err := stream.Info(t.Context()); return err == nil && info.State.Msgs == 1 }, time.Minute, time.Millisecond)
	f.onWait = func(number int) {
		if number == 2 {
			require.NoError(t, stream.Purge(t.Context()))
		}
	}

	got := f.run("poll", "now", "acme")

	require.Equal(t, result{stdout: "acme: poll requested\n"}, got)
	require.Len(t, f.waits, 2)
}

func TestReconcileNowPrintsTheGaps(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stream(bus.StreamReconcile)
	f.answers("status", "get", inTurn(polledStatus(7), polledStatus(8)))
	got := f.run("reconcile", "now", "acme", "--wait")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "acme: reconciliation ended, 12 users read, 2 gaps\n")
}

func TestPollNowOfARunThatFailsIsExitStatusOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stream(bus.StreamPoll)
	failed := polledStatus(8)
	failed.Polling.LastRun.Outcome, failed.Polling.LastRun.ErrorCode = "failed", new("too_many_attempts")
	f.answers("status", "get", inTurn(polledStatus(7), failed))
	got := f.run("poll", "now", "acme", "--wait", "--json")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "too_many_attempts")
	require.Equal(t, int64(8), document[requested](t, got).Run.ID)
}

func TestPollNowStopsWaitingIfTheCustomerIsPaused(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stream(bus.StreamPoll)
	paused := polledStatus(7)
	paused.Integration.PausedAt = new(testTime.Add(time.Minute))
	f.answers("status", "get", inTurn(polledStatus(7), polledStatus(7), paused))
	got := f.run("poll", "now", "acme", "--wait")
	require.Equal(t, exitFailed, got.code)
	require.Contains(t, got.stderr, "stopped waiting for the poll")
}

func TestPollNowSaysIfNoServiceTakesTheRequestUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.stream(bus.StreamPoll)
	many := make([]report.Status, 0, 30)
	for range 25 {
		many = append(many, polledStatus(7))
	}
	f.answers("status", "get", inTurn(append(many, polledStatus(8))...))
	got := f.run("poll", "now", "acme", "--wait")
	require.Zero(t, got.code)
	require.Contains(t, got.stderr, "the poller service has not taken it up yet")
}
