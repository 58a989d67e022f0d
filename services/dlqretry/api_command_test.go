package main

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

	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

// standing is each letter's state and how it was settled, by its number.
func (o *office) standing() map[string]string {
	o.t.Helper()
	got := map[string]string{}
	for _, line := range column[[]string](o, `SELECT ARRAY[ltrim(left(id::text, 8), '0'), state || coalesce(' ' || settled_how, '')
		|| CASE WHEN next_attempt_at <= rollcall_now() AND asked_at IS NOT NULL THEN ' asked' ELSE '' END] FROM dead_letters`) {
		got[line[0]] = line[1]
	}
	return got
}

func TestARetryByFilterTakesWhatCanBeTakenAndTellsOfTheRest(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.record(1, "acme", time.Hour)
	o.record(2, "acme", 2*time.Hour, waiting)
	o.record(3, "acme", 3*time.Hour, `record_id = 'unreadable-00ff'`)
	o.record(4, "globex", 4*time.Hour)
	o.record(5, "initech", 5*time.Hour) // whom nobody onboarded
	o.message(6, "acme", 6*time.Hour, `{"customerId":"acme"}`)
	o.message(7, "_unknown", 7*time.Hour, `nobody's`)
	o.record(8, "acme", 8*time.Hour, settled)

	plan := answered[report.LettersPlanned](o, "count", report.LettersCommand{AllMatching: true, Verb: report.VerbRetry})
	require.Equal(t, int64(7), plan.Count)
	require.Equal(t, int64(2), plan.Stuck)
	require.Equal(t, []string{"1", "2", "3", "4", "5", "6", "7"}, numbers(plan.First))
	require.Equal(t, "waiting", o.standing()["2"], "counting changes nothing")

	done := answered[report.LettersDone](o, "retry", all(report.LettersFilter{}))
	require.Equal(t, int64(4), done.Done)
	require.Equal(t, int64(7), done.Matched)
	require.Nil(t, done.Next)
	require.Equal(t, map[string]string{
		"3": report.LeftUnreadable, "5": report.LeftOffboarded, "7": report.LeftNobodys,
	}, reasons(done.Left))
	require.Equal(t, map[string]string{
		"1": "waiting asked", "2": "waiting asked", "3": "review", "4": "waiting asked", "5": "review", "6": "settled redriven", "7": "review",
		"8": "settled retried",
	}, o.standing())
	require.Equal(t, []string{"acme", "globex"}, o.woken, "whoever retries letters is told")
	stream, err := o.nats.JetStream(t).Stream(t.Context(), "ROLLCALL_ONBOARDING")
	require.NoError(t, err)
	message, err := stream.GetLastMsgForSubject(t.Context(), "rollcall.onboarding.request.acme")
	require.NoError(t, err)
	require.JSONEq(t, `{"customerId":"acme"}`, string(message.Data))
}

func TestNamedLettersAreResolvedAndThoseThatAreNotAreTold(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.record(1, "acme", time.Hour)
	o.record(2, "acme", 2*time.Hour, settled)
	o.record(3, "globex", 3*time.Hour)
	o.exec(`UPDATE dead_letters SET id = '00000003-0000-4000-8000-00000000000a' WHERE customer_id = 'globex'`)
	o.exec(`INSERT INTO dead_letters SELECT (jsonb_populate_record(d, '{"id":"00000003-0000-4000-8000-00000000000b","record_id":"9"}')).* FROM dead_letters d
		WHERE customer_id = 'globex'`)
	named := report.LettersCommand{LettersFilter: report.LettersFilter{
		IDs: []string{"00000001", "00000001-0000-4000-8000-000000000000", "00000002", "00000003", "00000003-0000-4000-8000-00000000000A", "99999999"},
	}, Verb: report.VerbRetry}

	want := map[string]string{"2": report.LeftSettled, "3": report.LeftAmbiguous, "99999999": report.LeftNotKnown}
	plan := answered[report.LettersPlanned](o, "count", named)
	require.Equal(t, int64(2), plan.Count)
	require.Equal(t, want, reasons(plan.Left))
	done := answered[report.LettersDone](o, "retry", named)
	require.Equal(t, int64(2), done.Done)
	require.Equal(t, want, reasons(done.Left))
	for _, left := range done.Left {
		if left.Reason == report.LeftAmbiguous {
			require.Equal(t, []string{"00000003-0000-4000-8000-00000000000a", "00000003-0000-4000-8000-00000000000b"}, left.IDs)
		}
	}
	require.Equal(t, []string{"review", "waiting"}, column[string](o, `SELECT state FROM dead_letters WHERE customer_id = 'globex' ORDER BY 1`))

	named.CustomerID = "globex" // a guard: letters of others are not known there
	named.IDs = []string{"00000001"}
	require.Equal(t, map[string]string{"1": report.LeftNotKnown}, reasons(answered[report.LettersDone](o, "retry", named).Left))
}

func TestACommandSaysWhichLettersItMeans(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.record(1, "acme", time.Hour)
	for name, command := range map[string]report.LettersCommand{
		"nothing said":     {},
		"both":             {AllMatching: true, LettersFilter: report.LettersFilter{IDs: []string{"00000001"}}},
		"ids and a filter": {LettersFilter: report.LettersFilter{IDs: []string{"00000001"}, Kind: "user"}},
		"settled ones":     {AllMatching: true, LettersFilter: report.LettersFilter{State: "settled"}},
		"a long note":      {AllMatching: true, Note: fmt.Sprintf("%0501d", 0)},
		"a bad place":      {AllMatching: true, Before: "1.x"},
	} {
		for _, verb := range []string{"retry", "discard", "count"} {
			command.Verb = report.VerbRetry
			_, code, text := ask[report.LettersDone](o, verb, command)
			require.Equal(t, service.CodeBadRequest, code, "%s: %s", name, text)
		}
	}
	require.Equal(t, "review", o.standing()["1"])
}

func TestADiscardSettlesWithANoteAndALineInTheAudit(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.record(1, "acme", time.Hour)
	o.record(2, "acme", 2*time.Hour, `record_id = 'unreadable-00ff'`)
	o.message(3, "_unknown", 3*time.Hour, `nobody's`)
	o.record(4, "globex", 4*time.Hour)
	for _, customer := range []string{"acme", "_unknown"} {
		command := all(report.LettersFilter{CustomerID: customer, Text: "o"})
		command.Note = "left the organisation"
		require.Empty(t, answered[report.LettersDone](o, "discard", command).Left)
	}
	require.Equal(t, map[string]string{"1": "settled discarded", "2": "settled discarded", "3": "settled discarded", "4": "review"}, o.standing())
	require.Equal(t, []int{3}, column[int](o, `SELECT count(*) FROM dead_letters WHERE settled_note = 'left the organisation' AND settled_at = rollcall_now()
		AND next_attempt_at IS NULL`))
	require.Equal(t, []string{
		"_unknown message 00000003-0000-4000-8000-000000000000", "acme user 821", "acme user unreadable-00ff",
	}, column[string](o, `SELECT customer_id || ' ' || resource_type || ' ' || record_id FROM sync_audit
		WHERE operation = 'dlq_discard' AND succeeded AND error_code IS NULL AND processed_at = rollcall_now() ORDER BY 1`))

	entries := o.logs.FilterMessage("letters worked for an operator").All()
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

func TestAHugeFilterIsWorkedBatchByBatchAndGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.many(1, 1600) // of which every third is settled
	command := all(report.LettersFilter{CustomerID: "acme"})
	first := answered[report.LettersDone](o, "discard", command)
	require.Equal(t, int64(report.MaxLettersBatch), first.Done)
	require.NotNil(t, first.Next)
	o.many(3001, 3001) // while the operator is away

	// Whoever runs it again begins anew, and goes on with what is left: here bounded by the first run's time.
	again := command
	again.AsOf, again.Limit = &first.AsOf, 300
	total := first.Done
	for {
		done := answered[report.LettersDone](o, "discard", again)
		total += done.Done
		if done.Next == nil {
			break
		}
		again.Before = *done.Next
	}
	require.Equal(t, int64(1067+1), total)
	require.Equal(t, []int{0}, column[int](o, `SELECT count(*) FROM dead_letters WHERE state = 'review'`))
	require.Equal(t, []int{1068}, column[int](o, `SELECT count(*) FROM sync_audit WHERE operation = 'dlq_discard'`))
}

func TestWhatFailsFirstAfterALookIsLeftAloneByTheCommandThatFollows(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.record(1, "acme", time.Hour)
	plan := answered[report.LettersPlanned](o, "count", report.LettersCommand{AllMatching: true, Verb: report.VerbDiscard})
	o.record(2, "acme", -time.Second)
	command := all(report.LettersFilter{AsOf: &plan.AsOf})
	require.Equal(t, int64(1), answered[report.LettersDone](o, "discard", command).Done)
	require.Equal(t, "review", o.standing()["2"])
}

func TestALetterThatAJobHasInHandIsWaitedForAWhileAndThenLeft(t *testing.T) {
	t.Parallel()
	for _, verb := range []string{"retry", "discard"} {
		o := newOffice(t)
		o.record(1, "acme", time.Hour)
		o.record(2, "acme", 2*time.Hour)
		job, err := o.pool.Begin(t.Context())
		require.NoError(t, err)
		_, err = job.Exec(t.Context(), `SELECT 1 FROM dead_letters WHERE record_id = '821' FOR UPDATE`)
		require.NoError(t, err)

		done := answered[report.LettersDone](o, verb, all(report.LettersFilter{}))
		require.Equal(t, int64(1), done.Done, verb)
		require.Equal(t, map[string]string{"1": report.LeftInHand}, reasons(done.Left))

		_, err = job.Exec(t.Context(), `UPDATE dead_letters SET state = 'settled' WHERE record_id = '821'`)
		require.NoError(t, err)
		waiting := o.desk.pause
		o.elapsed = 0
		o.desk.pause = func(ctx context.Context) error { // the job ends while it is waited for
			return errors.Join(job.Commit(ctx), waiting(ctx))
		}
		if verb == "discard" {
			o.record(3, "acme", 3*time.Hour)
		}
		done = answered[report.LettersDone](o, verb, all(report.LettersFilter{RecordID: "821"}))
		require.Zero(t, done.Done)
		require.Equal(t, map[string]string{"1": report.LeftSettled}, reasons(done.Left))
	}
}

// slowMessages takes a second for each message.
type slowMessages struct {
	o        *office
	redriven []uuid.UUID
	fails    map[uuid.UUID]error
}

func (s *slowMessages) redriveMessage(_ context.Context, id uuid.UUID) error {
	s.o.elapsed += time.Second
	if err := s.fails[id]; err != nil {
		return err
	}
	s.redriven = append(s.redriven, id)
	s.o.exec(`UPDATE dead_letters SET `+settled+` WHERE id = $1`, id)
	return nil
}

func TestABatchThatTakesLongIsCutShortAndNothingIsAskedForTwice(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	slow := &slowMessages{o: o}
	o.desk.messages = slow
	for n := 1; n <= 10; n++ {
		if n%2 == 0 {
			o.record(n, "acme", time.Duration(n)*time.Hour)
		} else {
			o.message(n, "acme", time.Duration(n)*time.Hour, `{}`)
		}
	}
	command := all(report.LettersFilter{})
	total, batches := int64(0), 0
	for {
		done := answered[report.LettersDone](o, "retry", command)
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
	require.Equal(t, []int{2}, column[int](o, `SELECT DISTINCT revision FROM dead_letters WHERE kind = 'user'`), "each was asked for once")
}

func TestAMessageThatCannotBePublishedDoesNotStopTheRest(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	busy, broken := o.message(1, "acme", time.Hour, `{}`), o.message(2, "acme", 2*time.Hour, `{}`)
	o.message(3, "acme", 3*time.Hour, `{}`)
	o.desk.batchFor = time.Hour
	o.desk.messages = &slowMessages{o: o, fails: map[uuid.UUID]error{
		busy: &service.ConflictError{Text: "a message stands there already"}, broken: errors.New("the address of the stream"),
	}}
	done := answered[report.LettersDone](o, "retry", all(report.LettersFilter{}))
	require.Equal(t, int64(1), done.Done)
	require.Equal(t, []report.LetterLeft{
		{ID: busy.String(), CustomerID: "acme", Kind: "message", Reason: report.LeftRedriveError, Text: "a message stands there already"},
		{ID: broken.String(), CustomerID: "acme", Kind: "message", Reason: report.LeftRedriveError, Code: "internal"},
	}, done.Left)
	require.Equal(t, map[string]string{"1": "review", "2": "review", "3": "settled retried"}, o.standing())
}

var _ messageRedriver = (*redriver)(nil)

func TestAnIDOfNoOneLetterIsRefusedByShow(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.record(1, "acme", time.Hour)
	o.exec(`INSERT INTO dead_letters SELECT (jsonb_populate_record(d, '{"id":"00000001-0000-4000-8000-00000000000b","record_id":"9"}')).* FROM dead_letters d`)
	_, code, text := ask[report.LetterShown](o, "show", report.LetterQuestion{ID: "00000001"})
	require.Equal(t, service.CodeConflict, code)
	require.Contains(t, text, "00000001-0000-4000-8000-000000000000, 00000001-0000-4000-8000-00000000000b; give more")
	for _, id := range []string{"99999999", "1f", ""} {
		_, code, _ = ask[report.LetterShown](o, "show", report.LetterQuestion{ID: id})
		require.Equal(t, service.CodeNotFound, code)
	}
	require.Equal(t, "821", *answered[report.LetterShown](o, "show", report.LetterQuestion{ID: "00000001-0000-4000-8000-000000000000"}).RecordID)
}

func TestALetterIsShownBesideTheVersionThatStandsInTheDestination(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.record(1, "acme", time.Hour, `history = '[{"at":"2026-03-02T09:00:00Z","code":"destination_5xx","job":"dlq_retry"}]'`)
	show := func() report.LetterShown {
		return answered[report.LetterShown](o, "show", report.LetterQuestion{ID: "00000001"})
	}
	got := show()
	require.Equal(t, []report.LetterAttempt{{At: officeNow.Add(-30 * time.Minute), Code: "destination_5xx", Job: "dlq_retry"}}, got.History)
	require.Equal(t, "00-trace-01", *got.TraceID)
	require.Equal(t, "rollcall.dlq.retry.user.acme", got.OriginalSubject)
	require.True(t, got.Retryable)
	require.NotEmpty(t, got.Text)
	require.Contains(t, got.Remedy, "rollcall dlq retry")
	require.Nil(t, got.Standing)
	refused := *got.SourceUpdatedAt
	for compared, version := range map[string]store.Version{
		"":      {UpdatedAt: refused, Hash: []byte("h")},
		"newer": {UpdatedAt: refused.Add(time.Second), Hash: []byte("h")},
		"older": {UpdatedAt: refused.Add(-time.Second), Hash: []byte("h")},
		"other": {UpdatedAt: refused, Hash: []byte("another")},
	} {
		o.exec(`DELETE FROM user_mappings`)
		o.exec(`INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_synced_at, last_synced_updated_at, version_hash)
			VALUES ('acme', '821', 'crm', rollcall_now(), $1, $2)`, version.UpdatedAt, version.Hash)
		got = show()
		if compared == "" {
			require.Nil(t, got.Standing, "the very version stands there")
			continue
		}
		require.Equal(t, &report.LetterStanding{SourceUpdatedAt: version.UpdatedAt, SyncedAt: officeNow, Compared: compared}, got.Standing)
	}
}
