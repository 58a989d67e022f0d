package letterapi

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

// movingClock lets the database's time pass when the test says so.
func (f *fixture) movingClock() {
	f.t.Helper()
	f.exec(`CREATE TABLE clock AS SELECT rollcall_now() AS at`)
	f.exec(`CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS $$ SELECT at FROM clock $$`)
}

func (f *fixture) pass(span time.Duration) {
	f.t.Helper()
	f.exec(`UPDATE clock SET at = at + $1::interval`, span)
}

func drainOf(f *fixture, verb string, question any) operatorapi.Drain {
	f.t.Helper()
	drain, code, text := askOf[operatorapi.Drain](f, "drains", verb, question)
	require.Empty(f.t, code, text)
	return drain
}

func retryAll(customer string) operatorapi.DrainStart {
	return operatorapi.DrainStart{LettersFilter: operatorapi.LettersFilter{CustomerID: customer}, Verb: operatorapi.VerbRetry}
}

// workDue works batches that are due, as a process does until it is killed by an error.
func (f *fixture) workDue(most int) error {
	f.t.Helper()
	for range most {
		claim, err := f.api.store.ClaimDrain(f.t.Context(), drainHold)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f.api.workDrain(f.t.Context(), claim); err != nil {
			return err
		}
	}
	return nil
}

// ledger returns the outcome of each letter of a drain, by its number.
func (f *fixture) ledger(drain int64) map[string]string {
	f.t.Helper()
	got := map[string]string{}
	for _, line := range column[[]string](f, `SELECT ARRAY[ltrim(left(letter_id::text, 8), '0'), outcome || coalesce(' ' || reason, '')]
		FROM dlq_drain_items WHERE drain_id = $1`, drain) {
		got[line[0]] = line[1]
	}
	return got
}

// The retrier waits for the end of a large drain.
func TestEndOfADrainWakesTheRetrier(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.api.drains.batchSize = 1
	f.record(1, "acme", time.Hour)
	f.record(2, "acme", 2*time.Hour)
	var running int // at the last call
	f.api.changed = func(...string) {
		running = column[int](f, `SELECT count(*) FROM dlq_drains WHERE state = 'running'`)[0]
	}

	drainOf(f, "start", retryAll("acme"))
	require.NoError(t, f.workDue(1))
	require.Equal(t, 1, running)
	require.NoError(t, f.workDue(3))
	require.Zero(t, running)

	aborted := drainOf(f, "start", retryAll("acme"))
	running = 1
	drainOf(f, "abort", operatorapi.DrainCommand{ID: aborted.ID})
	require.Zero(t, running)
}

func TestDrainRunsInTheBackgroundAndKeepsALedger(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.api.drains.batchSize = 2
	f.record(1, "acme", time.Hour)
	f.record(2, "acme", 2*time.Hour, `record_id = 'unreadable-00ff'`)
	f.message(3, "acme", 3*time.Hour, `{"customerId":"acme"}`)
	f.record(4, "acme", 4*time.Hour, waiting)
	f.record(5, "acme", 5*time.Hour)
	f.record(6, "globex", time.Hour)
	f.record(7, "acme", -time.Second) // it failed after the start
	running, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { f.api.RunDrains(running); close(ended) }()

	started := drainOf(f, "start", retryAll("acme"))
	require.Equal(t, int64(5), started.Planned)
	require.Equal(t, store.DrainRunning, started.State)
	show := func(question operatorapi.DrainQuestion) operatorapi.DrainShown {
		shown, code, text := askOf[operatorapi.DrainShown](f, "drains", "show", question)
		require.Empty(t, code, text)
		return shown
	}
	require.Eventually(t, func() bool { return show(operatorapi.DrainQuestion{ID: started.ID}).State == store.DrainDone }, 20*time.Second, 10*time.Millisecond)
	stop()
	<-ended
	require.Equal(t, map[string]string{"1": "done", "2": "left unreadable_record", "3": "done", "4": "done", "5": "done"}, f.ledger(started.ID))
	standing := f.standing()
	require.Equal(t, "waiting asked", standing["5"])
	require.Equal(t, "review", standing["6"])
	require.Equal(t, "review", standing["7"])
	require.Contains(t, f.woken, "acme", "the retrier must be woken for it")

	first := show(operatorapi.DrainQuestion{ID: started.ID, Limit: 3})
	require.Equal(t, []int64{4, 1, 0}, []int64{first.Done, first.Left, first.Remaining})
	require.Len(t, first.Items, 3)
	require.Len(t, show(operatorapi.DrainQuestion{ID: started.ID, Limit: 3, Before: *first.Next}).Items, 2)
	left := show(operatorapi.DrainQuestion{ID: started.ID, Outcome: store.DrainItemLeft})
	require.Len(t, left.Items, 1)
	require.Contains(t, *left.Items[0].Text, "had no id")
	listed, code, _ := askOf[operatorapi.DrainsReply](f, "drains", "ls", operatorapi.DrainsQuestion{CustomerID: "acme"})
	require.Empty(t, code)
	require.Len(t, listed.Drains, 1)
	listed, _, _ = askOf[operatorapi.DrainsReply](f, "drains", "ls", operatorapi.DrainsQuestion{CustomerID: "globex"})
	require.Empty(t, listed.Drains)
}

// crashes has the statement with this number fail, or the commit of the transaction that it is in.
func (f *fixture) crashes() (at func(step int)) {
	f.t.Helper()
	f.exec(`CREATE TABLE crash (at bigint)`)
	f.exec(`CREATE SEQUENCE step`) // a rollback does not take its numbers back
	f.exec(`CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		IF nextval('step') = (SELECT at FROM crash) THEN RAISE 'crash'; END IF; RETURN NULL; END $$`)
	f.exec(`CREATE TRIGGER crash AFTER UPDATE ON dead_letters FOR EACH STATEMENT EXECUTE FUNCTION crash()`)
	f.exec(`CREATE TRIGGER crash AFTER INSERT ON dlq_drain_items FOR EACH STATEMENT EXECUTE FUNCTION crash()`)
	f.exec(`CREATE TRIGGER crash AFTER UPDATE ON dlq_drains FOR EACH STATEMENT EXECUTE FUNCTION crash()`)
	f.exec(`CREATE CONSTRAINT TRIGGER at_commit AFTER UPDATE ON dead_letters DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION crash()`)
	return func(step int) {
		f.exec(`DELETE FROM crash`)
		f.exec(`INSERT INTO crash VALUES ($1)`, step)
		f.exec(`ALTER SEQUENCE step RESTART`)
	}
}

func TestDrainThatIsKilledAtAnyStepDoesEachLetterOnce(t *testing.T) {
	t.Parallel()
	for verb, want := range map[string]map[string]string{
		operatorapi.VerbRetry:   {"1": "left unreadable_record", "2": "done", "3": "done"},
		operatorapi.VerbDiscard: {"1": "done", "2": "done", "3": "done"},
	} {
		f := newFixture(t)
		f.movingClock()
		stream, err := f.nats.JetStream(t).Stream(t.Context(), "ROLLCALL_ONBOARDING")
		require.NoError(t, err)
		crashAt := f.crashes()
		for step := 1; ; step++ {
			crashAt(0)
			f.exec(`TRUNCATE dead_letters, sync_audit, dlq_drains, dlq_drain_items`)
			require.NoError(t, stream.Purge(t.Context()))
			f.record(1, "acme", time.Hour, `record_id = 'unreadable-00ff'`)
			f.message(2, "globex", 2*time.Hour, `{}`)
			f.record(3, "acme", 3*time.Hour)
			f.exec(`UPDATE dead_letters SET attempts = $1`, step) // by which the stream recognises a message
			started := drainOf(f, "start", operatorapi.DrainStart{LettersFilter: operatorapi.LettersFilter{State: "review"}, Verb: verb})
			f.api.drains = newDrains()
			f.api.drains.batchSize = 2
			crashAt(step)
			killed := f.workDue(10)

			crashAt(0)
			f.api.drains = newDrains() // another process
			f.api.drains.batchSize = 2
			f.pass(drainHold)
			require.NoError(t, f.workDue(10))
			require.Equal(t, want, f.ledger(started.ID), "%s, step %d", verb, step)
			require.Equal(t, []string{fmt.Sprintf("done %d %d", len(want)-lefts(want), lefts(want))},
				column[string](f, `SELECT concat_ws(' ', state, done_count, left_count) FROM dlq_drains`), "%s, step %d", verb, step)
			if verb == operatorapi.VerbRetry {
				require.Equal(t, []int{2}, column[int](f, `SELECT revision FROM dead_letters WHERE state = 'waiting'`), "step %d: asked for once", step)
				info, err := stream.Info(t.Context())
				require.NoError(t, err)
				require.Equal(t, uint64(1), info.State.Msgs, "step %d: published once", step)
			} else {
				require.Equal(t, []int{3}, column[int](f, `SELECT count(*) FROM sync_audit WHERE operation = 'dlq_discard'`), "step %d", step)
			}
			if killed == nil {
				require.Greater(t, step, 5, "it must have been killed")
				break
			}
		}
	}
}

func lefts(ledger map[string]string) (count int) {
	for _, outcome := range ledger {
		if outcome != "done" {
			count++
		}
	}
	return count
}

func TestAbortedDrainStopsBeforeItsNextBatch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.api.drains.batchSize = 2
	for n := 1; n <= 6; n++ {
		f.record(n, "acme", time.Duration(n)*time.Hour)
	}
	started := drainOf(f, "start", retryAll("acme"))
	require.NoError(t, f.workDue(1))
	claim, err := f.api.store.ClaimDrain(t.Context(), drainHold)
	require.NoError(t, err)
	_, code, _ := askOf[operatorapi.Drain](f, "drains", "abort", operatorapi.DrainCommand{ID: started.ID, CustomerID: "globex"})
	require.Equal(t, service.CodeNotFound, code, "another customer's drain is not known")
	aborted := drainOf(f, "abort", operatorapi.DrainCommand{ID: started.ID, CustomerID: "acme"})
	require.Equal(t, store.DrainAborted, aborted.State)
	require.Equal(t, []int64{2, 4}, []int64{aborted.Done, aborted.Remaining})

	require.ErrorIs(t, f.api.workDrain(t.Context(), claim), errDrainLost, "a batch that was claimed before")
	require.NoError(t, f.workDue(5))
	require.Equal(t, map[string]string{"1": "done", "2": "done"}, f.ledger(started.ID))
	require.Equal(t, "review", f.standing()["3"])
	_, code, text := askOf[operatorapi.Drain](f, "drains", "abort", operatorapi.DrainCommand{ID: started.ID})
	require.Equal(t, service.CodeConflict, code)
	require.Contains(t, text, "has ended already")
}

func TestProcessThatLostItsClaimChangesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.movingClock()
	f.record(1, "acme", time.Hour)
	f.message(2, "acme", 2*time.Hour, `{}`)
	started := drainOf(f, "start", retryAll("acme"))
	slow, err := f.api.store.ClaimDrain(t.Context(), drainHold)
	require.NoError(t, err)
	_, err = f.api.store.ClaimDrain(t.Context(), drainHold)
	require.ErrorIs(t, err, store.ErrNotFound)
	f.pass(drainHold)
	_, err = f.api.store.ClaimDrain(t.Context(), drainHold)
	require.NoError(t, err)
	require.ErrorIs(t, f.api.workDrain(t.Context(), slow), errDrainLost)
	require.Empty(t, f.ledger(started.ID))
	require.Equal(t, map[string]string{"1": "review", "2": "review"}, f.standing())
}

func TestPaceIsKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.movingClock()
	for n := 1; n <= 20; n++ {
		f.record(n, "acme", time.Duration(n)*time.Hour)
	}
	start := retryAll("acme")
	start.PacePerMinute = 24
	started := drainOf(f, "start", start)
	for second := range 51 {
		require.NoError(t, f.workDue(10))
		worked := len(f.ledger(started.ID))
		require.LessOrEqual(t, worked, second*24/60+2, "after %d s", second)
		require.GreaterOrEqual(t, worked, min(second*24/60, 20), "after %d s", second)
		f.pass(time.Second)
	}
	shown, _, _ := askOf[operatorapi.DrainShown](f, "drains", "show", operatorapi.DrainQuestion{ID: started.ID})
	require.Equal(t, store.DrainDone, shown.State)
}

func TestEstimateOfADrainIsARangeThatThePaceBounds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.movingClock()
	for n := 1; n <= 24; n++ {
		f.record(n, "acme", time.Duration(n)*time.Hour)
	}
	require.Nil(t, drainOf(f, "start", retryAll("acme")).EtaLowSeconds, "nothing is known of its rate yet")
	f.exec(`DELETE FROM dlq_drains`)
	start := retryAll("acme")
	start.PacePerMinute = 24
	paced := drainOf(f, "start", start)
	require.Equal(t, int64(60), *paced.EtaLowSeconds)
	require.Greater(t, *paced.EtaHighSeconds, int64(60))
}

func TestDrainWithoutFilterOrWithWrongFieldsIsRejected(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.record(1, "acme", time.Hour)
	for field, start := range map[string]operatorapi.DrainStart{
		"customerId":    {Verb: "retry"},
		"customerId\"":  {Verb: "retry", LettersFilter: operatorapi.LettersFilter{State: "open"}},
		"ids":           {Verb: "retry", LettersFilter: operatorapi.LettersFilter{IDs: []string{"00000001"}}},
		"verb":          {Verb: "show", LettersFilter: operatorapi.LettersFilter{CustomerID: "acme"}},
		"pacePerMinute": {Verb: "retry", PacePerMinute: -1, LettersFilter: operatorapi.LettersFilter{CustomerID: "acme"}},
		"state":         {Verb: "retry", LettersFilter: operatorapi.LettersFilter{State: "settled"}},
	} {
		_, code, text := askOf[operatorapi.Drain](f, "drains", "start", start)
		require.Equal(t, service.CodeBadRequest, code, field)
		require.Contains(t, text, `"`+field)
	}
	_, code, text := askOf[operatorapi.Drain](f, "drains", "start", retryAll("globex"))
	require.Equal(t, service.CodeConflict, code)
	require.Contains(t, text, "nothing to retry")
	require.Empty(t, column[int64](f, `SELECT id FROM dlq_drains`))
}

func TestCustomerHasOneRunningDrain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.record(1, "acme", time.Hour)
	f.record(2, "globex", time.Hour)
	drainOf(f, "start", retryAll("acme"))
	_, code, text := askOf[operatorapi.Drain](f, "drains", "start", retryAll("acme"))
	require.Equal(t, service.CodeConflict, code)
	require.Contains(t, text, "is running")
	drainOf(f, "start", retryAll("globex"))
	require.NoError(t, f.workDue(5))
	drainOf(f, "start", retryAll("acme"))
}

func TestSearchedTextIsNotKeptAfterTheDrain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.record(1, "acme", time.Hour)
	start := retryAll("acme")
	start.Text = "poll"
	drainOf(f, "start", start)
	require.NoError(t, f.workDue(5))
	require.JSONEq(t, `{"customerId":"acme","text":"…"}`, column[string](f, `SELECT filter::text FROM dlq_drains WHERE state = 'done'`)[0])
}

// failingMessages publishes nothing.
type failingMessages struct{ err error }

func (m failingMessages) RedriveWith(context.Context, uuid.UUID, func(context.Context, *store.Tx) error) error {
	return m.err
}

func TestMessageIsTriedForAWhileBeforeItIsLeft(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.movingClock()
	f.message(1, "acme", time.Hour, `{}`)
	f.record(2, "acme", 2*time.Hour)
	started := drainOf(f, "start", retryAll("acme"))
	f.api.messages = failingMessages{errors.New("NATS does not answer")}
	for range maxAttempts - 1 {
		claim, err := f.api.store.ClaimDrain(t.Context(), drainHold)
		require.NoError(t, err)
		f.api.workOrPutOff(t.Context(), claim)
		require.Empty(t, f.ledger(started.ID))
		require.NoError(t, f.workDue(5), "it is not due yet")
		f.pass(drainRetry)
	}
	require.NoError(t, f.workDue(5))
	require.Equal(t, map[string]string{"1": "left redrive_failed", "2": "done"}, f.ledger(started.ID))
}
