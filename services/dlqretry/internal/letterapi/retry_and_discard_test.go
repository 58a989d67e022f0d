package letterapi

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

// standing is each letter's state and how it was settled, by its number.
func (f *fixture) standing() map[string]string {
	f.t.Helper()
	got := map[string]string{}
	for _, line := range column[[]string](f, `SELECT ARRAY[ltrim(left(id::text, 8), '0'), state || coalesce(' ' || settled_how, '')
		|| CASE WHEN next_attempt_at <= rollcall_now() AND asked_at IS NOT NULL THEN ' asked' ELSE '' END] FROM dead_letters`) {
		got[line[0]] = line[1]
	}
	return got
}

func TestRetryByFilterRetriesLettersAndReportsTheOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.record(1, "acme", time.Hour)
	f.record(2, "acme", 2*time.Hour, waiting)
	f.record(3, "acme", 3*time.Hour, `record_id = 'unreadable-00ff'`)
	f.record(4, "globex", 4*time.Hour)
	f.record(5, "initech", 5*time.Hour) // it was never onboarded
	f.message(6, "acme", 6*time.Hour, `{"customerId":"acme"}`)
	f.message(7, "_unknown", 7*time.Hour, `for no customer`)
	f.record(8, "acme", 8*time.Hour, settled)

	plan := answered[operatorapi.LettersPlanned](f, "count", operatorapi.LettersCommand{AllMatching: true, Verb: operatorapi.VerbRetry})
	require.Equal(t, int64(7), plan.Count)
	require.Equal(t, int64(2), plan.Stuck)
	require.Equal(t, []string{"1", "2", "3", "4", "5", "6", "7"}, numbers(plan.First))
	require.Equal(t, "waiting", f.standing()["2"], "counting changes nothing")

	done := answered[operatorapi.LettersDone](f, "retry", all(operatorapi.LettersFilter{}))
	require.Equal(t, int64(4), done.Done)
	require.Equal(t, int64(7), done.Matched)
	require.Nil(t, done.Next)
	require.Equal(t, map[string]string{
		"3": operatorapi.LeftUnreadable, "5": operatorapi.LeftOffboarded, "7": operatorapi.LeftUnknownCustomer,
	}, reasons(done.Left))
	require.Equal(t, map[string]string{
		"1": "waiting asked", "2": "waiting asked", "3": "review", "4": "waiting asked", "5": "review", "6": "settled redriven", "7": "review",
		"8": "settled retried",
	}, f.standing())
	require.Equal(t, []string{"acme", "globex"}, f.woken, "the retrier must be woken for them")
	stream, err := f.nats.JetStream(t).Stream(t.Context(), "ROLLCALL_ONBOARDING")
	require.NoError(t, err)
	message, err := stream.GetLastMsgForSubject(t.Context(), "rollcall.onboarding.request.acme")
	require.NoError(t, err)
	require.JSONEq(t, `{"customerId":"acme"}`, string(message.Data))
}

func TestNamedLettersAreResolvedAndOthersReported(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.record(1, "acme", time.Hour)
	f.record(2, "acme", 2*time.Hour, settled)
	f.record(3, "globex", 3*time.Hour)
	f.exec(`UPDATE dead_letters SET id = '00000003-0000-4000-8000-00000000000a' WHERE customer_id = 'globex'`)
	f.exec(`INSERT INTO dead_letters SELECT (jsonb_populate_record(d, '{"id":"00000003-0000-4000-8000-00000000000b","record_id":"9"}')).* FROM dead_letters d
		WHERE customer_id = 'globex'`)
	named := operatorapi.LettersCommand{LettersFilter: operatorapi.LettersFilter{
		IDs: []string{"00000001", "00000001-0000-4000-8000-000000000000", "00000002", "00000003", "00000003-0000-4000-8000-00000000000A", "99999999"},
	}, Verb: operatorapi.VerbRetry}

	want := map[string]string{"2": operatorapi.LeftSettled, "3": operatorapi.LeftAmbiguous, "99999999": operatorapi.LeftNotKnown}
	plan := answered[operatorapi.LettersPlanned](f, "count", named)
	require.Equal(t, int64(2), plan.Count)
	require.Equal(t, want, reasons(plan.Left))
	done := answered[operatorapi.LettersDone](f, "retry", named)
	require.Equal(t, int64(2), done.Done)
	require.Equal(t, want, reasons(done.Left))
	for _, left := range done.Left {
		if left.Reason == operatorapi.LeftAmbiguous {
			require.Equal(t, []string{"00000003-0000-4000-8000-00000000000a", "00000003-0000-4000-8000-00000000000b"}, left.IDs)
		}
	}
	require.Equal(t, []string{"review", "waiting"}, column[string](f, `SELECT state FROM dead_letters WHERE customer_id = 'globex' ORDER BY 1`))

	named.CustomerID = "globex" // a guard: letters of others are not known there
	named.IDs = []string{"00000001"}
	require.Equal(t, map[string]string{"1": operatorapi.LeftNotKnown}, reasons(answered[operatorapi.LettersDone](f, "retry", named).Left))
}

func TestCommandWithoutSelectionIsRejected(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.record(1, "acme", time.Hour)
	for name, command := range map[string]operatorapi.LettersCommand{
		"nothing said":     {},
		"both":             {AllMatching: true, LettersFilter: operatorapi.LettersFilter{IDs: []string{"00000001"}}},
		"ids and a filter": {LettersFilter: operatorapi.LettersFilter{IDs: []string{"00000001"}, Kind: "user"}},
		"settled ones":     {AllMatching: true, LettersFilter: operatorapi.LettersFilter{State: "settled"}},
		"a long note":      {AllMatching: true, Note: fmt.Sprintf("%0501d", 0)},
		"a bad place":      {AllMatching: true, Before: "1.x"},
	} {
		for _, verb := range []string{"retry", "discard", "count"} {
			command.Verb = operatorapi.VerbRetry
			_, code, text := ask[operatorapi.LettersDone](f, verb, command)
			require.Equal(t, service.CodeBadRequest, code, "%s: %s", name, text)
		}
	}
	require.Equal(t, "review", f.standing()["1"])
}

func TestDiscardSettlesWithNoteAndAuditRow(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.record(1, "acme", time.Hour)
	f.record(2, "acme", 2*time.Hour, `record_id = 'unreadable-00ff'`)
	f.message(3, "_unknown", 3*time.Hour, `for no customer`)
	f.record(4, "globex", 4*time.Hour)
	for _, customer := range []string{"acme", "_unknown"} {
		command := all(operatorapi.LettersFilter{CustomerID: customer, Text: "o"})
		command.Note = "left the organisation"
		require.Empty(t, answered[operatorapi.LettersDone](f, "discard", command).Left)
	}
	require.Equal(t, map[string]string{"1": "settled discarded", "2": "settled discarded", "3": "settled discarded", "4": "review"}, f.standing())
	require.Equal(t, []int{3}, column[int](f, `SELECT count(*) FROM dead_letters WHERE settled_note = 'left the organisation' AND settled_at = rollcall_now()
		AND next_attempt_at IS NULL`))
	require.Equal(t, []string{
		"_unknown message 00000003-0000-4000-8000-000000000000", "acme user 821", "acme user unreadable-00ff",
	}, column[string](f, `SELECT customer_id || ' ' || resource_type || ' ' || record_id FROM sync_audit
		WHERE operation = 'dlq_discard' AND succeeded AND error_code IS NULL AND processed_at = rollcall_now() ORDER BY 1`))

	entries := f.logs.FilterMessage("letters worked for an operator").All()
	require.Len(t, entries, 2)
	logged := entries[0].ContextMap()
	require.Equal(t, "discard", logged["verb"])
	require.Equal(t, "acme", logged["customer"])
	require.Equal(t, int64(2), logged["done"])
	require.Equal(t, true, logged["text"], "what was searched for is not logged: it may be a person's")
	require.NotContains(t, fmt.Sprint(logged), "left the organisation")
	require.ElementsMatch(t, []string{"verb", "customer", "text", "all_matching", "done", "left", "last"}, slices.Collect(maps.Keys(logged)),
		"what was not asked for is not there")
}

func TestCommandForManyLettersContinuesBatchByBatch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.many(1, 1600) // of which every third is settled
	command := all(operatorapi.LettersFilter{CustomerID: "acme"})
	first := answered[operatorapi.LettersDone](f, "discard", command)
	require.Equal(t, int64(operatorapi.MaxLettersBatch), first.Done)
	require.NotNil(t, first.Next)
	f.many(3001, 3001) // while the operator is away

	// The same command again begins with what is left, here bounded by the first run's time.
	again := command
	again.AsOf, again.Limit = &first.AsOf, 300
	total := first.Done
	for {
		done := answered[operatorapi.LettersDone](f, "discard", again)
		total += done.Done
		if done.Next == nil {
			break
		}
		again.Before = *done.Next
	}
	require.Equal(t, int64(1067+1), total)
	require.Equal(t, []int{0}, column[int](f, `SELECT count(*) FROM dead_letters WHERE state = 'review'`))
	require.Equal(t, []int{1068}, column[int](f, `SELECT count(*) FROM sync_audit WHERE operation = 'dlq_discard'`))
}

func TestCommandSkipsLettersThatFailedAfterTheCount(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.record(1, "acme", time.Hour)
	plan := answered[operatorapi.LettersPlanned](f, "count", operatorapi.LettersCommand{AllMatching: true, Verb: operatorapi.VerbDiscard})
	f.record(2, "acme", -time.Second)
	command := all(operatorapi.LettersFilter{AsOf: &plan.AsOf})
	require.Equal(t, int64(1), answered[operatorapi.LettersDone](f, "discard", command).Done)
	require.Equal(t, "review", f.standing()["2"])
}

func TestCommandWaitsForLockedLetterAndThenReportsIt(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"retry", "discard"} {
		f := newFixture(t)
		f.record(1, "acme", time.Hour)
		f.record(2, "acme", 2*time.Hour)
		job, err := f.pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = job.Exec(t.Context(), `SELECT 1 FROM dead_letters WHERE record_id = '821' FOR UPDATE`)
		require.NoError(t, err)

		done := answered[operatorapi.LettersDone](f, verb, all(operatorapi.LettersFilter{}))
		require.Equal(t, int64(1), done.Done, verb)
		require.Equal(t, map[string]string{"1": operatorapi.LeftInHand}, reasons(done.Left))

		_, err = job.Exec(t.Context(), `UPDATE dead_letters SET state = 'settled' WHERE record_id = '821'`)
		require.NoError(t, err)
		waiting := f.api.pause
		f.elapsed = 0
		f.api.pause = func(ctx context.Context) error { // the job ends while it is waited for
			return errors.Join(job.Commit(ctx), waiting(ctx))
		}
		if verb == "discard" {
			f.record(3, "acme", 3*time.Hour)
		}
		done = answered[operatorapi.LettersDone](f, verb, all(operatorapi.LettersFilter{RecordID: "821"}))
		require.Zero(t, done.Done)
		require.Equal(t, map[string]string{"1": operatorapi.LeftSettled}, reasons(done.Left))
	}
}

// slowMessages takes a second for each message.
type slowMessages struct {
	fixture  *fixture
	redriven []uuid.UUID
	fails    map[uuid.UUID]error
}

func (s *slowMessages) RedriveWith(_ context.Context, id uuid.UUID, _ func(context.Context, *store.Tx) error) error {
	s.fixture.elapsed += time.Second
	if err := s.fails[id]; err != nil {
		return err
	}
	s.redriven = append(s.redriven, id)
	s.fixture.exec(`UPDATE dead_letters SET `+settled+` WHERE id = $1`, id)
	return nil
}

func TestSlowBatchIsCutShortAndAsksForEachLetterOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	slow := &slowMessages{fixture: f}
	f.api.messages = slow
	for n := 1; n <= 10; n++ {
		if n%2 == 0 {
			f.record(n, "acme", time.Duration(n)*time.Hour)
		} else {
			f.message(n, "acme", time.Duration(n)*time.Hour, `{}`)
		}
	}
	command := all(operatorapi.LettersFilter{})
	total, batches := int64(0), 0
	for {
		done := answered[operatorapi.LettersDone](f, "retry", command)
		total += done.Done
		batches++
		require.Empty(t, done.Left)
		if done.Next == nil {
			break
		}
		command.Before, command.AsOf = *done.Next, &done.AsOf
	}
	require.Equal(t, int64(10), total)
	require.Greater(t, batches, 1)
	require.Len(t, slow.redriven, 5)
	require.Equal(t, []int{2}, column[int](f, `SELECT DISTINCT revision FROM dead_letters WHERE kind = 'user'`), "each was asked for once")
}

func TestMessageThatCannotBePublishedDoesNotStopOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	busy, broken := f.message(1, "acme", time.Hour, `{}`), f.message(2, "acme", 2*time.Hour, `{}`)
	f.message(3, "acme", 3*time.Hour, `{}`)
	f.api.batchFor = time.Hour
	f.api.messages = &slowMessages{fixture: f, fails: map[uuid.UUID]error{
		busy: &service.ConflictError{Text: "a message is there already"}, broken: errors.New("the address of the stream"),
	}}
	done := answered[operatorapi.LettersDone](f, "retry", all(operatorapi.LettersFilter{}))
	require.Equal(t, int64(1), done.Done)
	require.Equal(t, []operatorapi.LetterLeft{
		{ID: busy.String(), CustomerID: "acme", Kind: "message", Reason: operatorapi.LeftRedriveError, Text: "a message is there already"},
		{ID: broken.String(), CustomerID: "acme", Kind: "message", Reason: operatorapi.LeftRedriveError, Code: "internal"},
	}, done.Left)
	require.Equal(t, map[string]string{"1": "review", "2": "review", "3": "settled retried"}, f.standing())
}

func TestShowRejectsAmbiguousAndUnknownIDs(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.record(1, "acme", time.Hour)
	f.exec(`INSERT INTO dead_letters SELECT (jsonb_populate_record(d, '{"id":"00000001-0000-4000-8000-00000000000b","record_id":"9"}')).* FROM dead_letters d`)
	_, code, text := ask[operatorapi.LetterShown](f, "show", operatorapi.LetterQuestion{ID: "00000001"})
	require.Equal(t, service.CodeConflict, code)
	require.Contains(t, text, "00000001-0000-4000-8000-000000000000, 00000001-0000-4000-8000-00000000000b; give more")
	for _, id := range []string{"99999999", "1f", ""} {
		_, code, _ = ask[operatorapi.LetterShown](f, "show", operatorapi.LetterQuestion{ID: id})
		require.Equal(t, service.CodeNotFound, code)
	}
	require.Equal(t, "821", *answered[operatorapi.LetterShown](f, "show", operatorapi.LetterQuestion{ID: "00000001-0000-4000-8000-000000000000"}).RecordID)
}

func TestShowComparesLetterWithVersionInDestination(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.record(1, "acme", time.Hour, `history = '[{"at":"2026-03-02T09:00:00Z","code":"destination_5xx","job":"dlq_retry"}]'`)
	show := func() operatorapi.LetterShown {
		return answered[operatorapi.LetterShown](f, "show", operatorapi.LetterQuestion{ID: "00000001"})
	}
	got := show()
	require.Equal(t, []operatorapi.LetterAttempt{{At: now.Add(-30 * time.Minute), Code: "destination_5xx", Job: "dlq_retry"}}, got.History)
	require.Equal(t, "00-trace-01", *got.TraceID)
	require.Equal(t, "rollcall.dlq.retry.user.acme", got.OriginalSubject)
	require.True(t, got.Retryable)
	require.NotEmpty(t, got.Text)
	require.Contains(t, got.Remedy, "rollcall dlq retry")
	require.Nil(t, got.DestinationVersion)
	refused := *got.SourceUpdatedAt
	for compared, version := range map[string]store.Version{
		"":      {UpdatedAt: refused, Hash: []byte("h")},
		"newer": {UpdatedAt: refused.Add(time.Second), Hash: []byte("h")},
		"older": {UpdatedAt: refused.Add(-time.Second), Hash: []byte("h")},
		"other": {UpdatedAt: refused, Hash: []byte("another")},
	} {
		f.exec(`DELETE FROM user_mappings`)
		f.exec(`INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_synced_at, last_synced_updated_at, version_hash)
			VALUES ('acme', '821', 'crm', rollcall_now(), $1, $2)`, version.UpdatedAt, version.Hash)
		got = show()
		if compared == "" {
			require.Nil(t, got.DestinationVersion, "the very version mapping there")
			continue
		}
		require.Equal(t, &operatorapi.DestinationVersion{SourceUpdatedAt: version.UpdatedAt, SyncedAt: now, Compared: compared}, got.DestinationVersion)
	}
}

// onboardingAlerts are the standing and the cleared alerts of acme's onboarding letters.
const onboardingAlerts = `SELECT count(*) FILTER (WHERE cleared_at IS NULL) || ' standing, ' || count(*) FILTER (WHERE cleared_at IS NOT NULL) || ' cleared'
	FROM alerts WHERE type = 'onboarding_letter' AND customer_id = 'acme'`

func TestDiscardOfLastOnboardingLetterClearsItsAlert(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.message(1, "acme", time.Hour, `{}`)
	f.message(2, "acme", 2*time.Hour, `{}`)
	f.record(3, "acme", time.Hour)
	f.exec(`INSERT INTO alerts (customer_id, type, severity, raised_at) VALUES ('acme', 'onboarding_letter', 'high', rollcall_now())`)
	discard := func(id string) {
		answered[operatorapi.LettersDone](f, "discard", operatorapi.LettersCommand{LettersFilter: operatorapi.LettersFilter{IDs: []string{id}}})
	}
	discard("00000003")
	discard("00000001")
	require.Equal(t, []string{"1 standing, 0 cleared"}, column[string](f, onboardingAlerts))
	discard("00000002")
	require.Equal(t, []string{"0 standing, 1 cleared"}, column[string](f, onboardingAlerts))
}
