package letterapi

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

func TestFiltersSelectLetters(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.record(1, "acme", time.Hour)
	f.record(2, "acme", 2*time.Hour, waiting)
	f.record(3, "globex", 3*time.Hour, `job = 'initial_backfill'`)
	f.record(4, "acme", 4*time.Hour, settled)
	f.message(5, "acme", 5*time.Hour, `{}`)
	f.message(6, "_unknown", 72*time.Hour, `{}`)
	for name, one := range map[string]struct {
		filter operatorapi.LettersFilter
		want   []string
	}{
		"open ones, newest first": {operatorapi.LettersFilter{}, []string{"1", "2", "3", "5", "6"}},
		"all":                     {operatorapi.LettersFilter{State: "all"}, []string{"1", "2", "3", "4", "5", "6"}},
		"a customer":              {operatorapi.LettersFilter{CustomerID: "acme"}, []string{"1", "2", "5"}},
		"unknown":                 {operatorapi.LettersFilter{CustomerID: "_unknown"}, []string{"6"}},
		"a kind":                  {operatorapi.LettersFilter{Kind: "message"}, []string{"5", "6"}},
		"waiting":                 {operatorapi.LettersFilter{State: "waiting"}, []string{"2"}},
		"review":                  {operatorapi.LettersFilter{State: "review", CustomerID: "acme"}, []string{"1", "5"}},
		"settled":                 {operatorapi.LettersFilter{State: "settled"}, []string{"4"}},
		"a code":                  {operatorapi.LettersFilter{ErrorCode: "http_422"}, []string{"1", "3"}},
		"a class":                 {operatorapi.LettersFilter{ErrorClass: "retryable"}, []string{"2"}},
		"older":                   {operatorapi.LettersFilter{OlderThanSeconds: 3 * 3600}, []string{"3", "5", "6"}},
		"newer":                   {operatorapi.LettersFilter{NewerThanSeconds: 3 * 3600}, []string{"1", "2"}},
		"between":                 {operatorapi.LettersFilter{OlderThanSeconds: 2 * 3600, NewerThanSeconds: 5 * 3600}, []string{"2", "3"}},
		"a record":                {operatorapi.LettersFilter{RecordID: "822"}, []string{"2"}},
		"text in the code":        {operatorapi.LettersFilter{Text: "_5XX"}, []string{"2"}},
		"text in the record":      {operatorapi.LettersFilter{Text: "823"}, []string{"3"}},
		"text in the subject":     {operatorapi.LettersFilter{Text: "Onboarding.Request"}, []string{"5", "6"}},
		"text in the job":         {operatorapi.LettersFilter{Text: "initial_"}, []string{"3"}},
		"text as it is":           {operatorapi.LettersFilter{Text: "%"}, []string{}},
		"an id":                   {operatorapi.LettersFilter{IDs: []string{"00000003-0000-4000-8000-000000000000"}}, []string{"3"}},
		"the beginnings of ids":   {operatorapi.LettersFilter{IDs: []string{"00000002-0", "00000006"}}, []string{"2", "6"}},
		"several at once":         {operatorapi.LettersFilter{CustomerID: "acme", Kind: "user", State: "all", Text: "poll"}, []string{"1", "2", "4"}},
		"nothing":                 {operatorapi.LettersFilter{CustomerID: "globex", Kind: "message"}, []string{}},
	} {
		require.Equal(t, one.want, f.listed(one.filter), name)
	}
}

func TestListedLetterHasItsState(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.record(1, "acme", time.Hour, waiting)
	got := answered[operatorapi.LettersReply](f, "ls", operatorapi.LettersQuestion{})
	require.Equal(t, now, got.AsOf.UTC())
	require.Nil(t, got.Next)
	at := now.Add(-time.Hour)
	require.Equal(t, []operatorapi.Letter{{
		ID: "00000001-0000-4000-8000-000000000000", CustomerID: "acme", Kind: "user", RecordID: new("821"), ErrorCode: "destination_5xx",
		ErrorClass: "retryable", State: "waiting", Attempts: 1, FirstFailedAt: at, LastFailedAt: at, AgeSeconds: 3600,
		NextAttemptAt: new(now.Add(4 * time.Minute)), Job: "user_sync_poll",
	}}, got.Letters)
}

func TestInvalidQuestionNamesItsFields(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, code, text := ask[operatorapi.LettersReply](f, "ls", operatorapi.LettersQuestion{Before: "here", LettersFilter: operatorapi.LettersFilter{
		CustomerID: "ACME", Kind: "person", State: "lost", ErrorClass: "odd", IDs: []string{"1f0c"}, Text: strings.Repeat("x", 300),
		OlderThanSeconds: 9, NewerThanSeconds: 9,
	}})
	require.Equal(t, service.CodeBadRequest, code)
	for _, field := range []string{"customerId", "kind", "state", "errorClass", "ids", "text", "newerThanSeconds", "before"} {
		require.Contains(t, text, `"`+field+`":[`)
	}
}

func TestUnknownCustomerDiffersFromCustomerWithoutLetters(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.Empty(t, f.listed(operatorapi.LettersFilter{CustomerID: "acme"}))
	require.Empty(t, f.listed(operatorapi.LettersFilter{CustomerID: "_unknown"}))
	for _, verb := range []string{"ls", "export"} {
		_, code, _ := ask[operatorapi.LettersReply](f, verb, operatorapi.LettersFilter{CustomerID: "initech"})
		require.Equal(t, service.CodeNotFound, code)
	}
	_, code, _ := ask[operatorapi.LettersDone](f, "discard", all(operatorapi.LettersFilter{CustomerID: "initech"}))
	require.Equal(t, service.CodeNotFound, code)
	f.message(1, "initech", time.Hour, `{}`) // it was never onboarded: its message could not be handled
	require.Equal(t, []string{"1"}, f.listed(operatorapi.LettersFilter{CustomerID: "initech"}))
	require.Empty(t, f.listed(operatorapi.LettersFilter{CustomerID: "initech", Kind: "user"}))
}

// many opens letters numbered from..to, ten of them in the same second.
func (f *fixture) many(from, to int) {
	f.exec(`INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state, first_failed_at,
			last_failed_at, history)
		SELECT (lpad(i::text, 8, '0') || '-0000-4000-8000-000000000000')::uuid, 'acme', 'user', i::text, repeat('s', 200), repeat('j', 100),
			repeat('e', 100), 'permanent', CASE WHEN i % 3 = 0 THEN 'settled' ELSE 'review' END, failed, now(),
			(SELECT jsonb_agg(jsonb_build_object('at', failed, 'code', repeat('c', 90) || g, 'job', 'dlq_retry')) FROM generate_series(1, 40) g)
		FROM generate_series($1::int, $2::int) i, LATERAL (SELECT rollcall_now() - interval '10 days' + (i / 10) * interval '1 second' AS failed) v`, from, to)
}

func TestPagesAreCompleteWhileLettersAreOpenedAndSettled(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.many(1, 900)
	met := map[string]int{}
	question := operatorapi.LettersQuestion{LettersFilter: operatorapi.LettersFilter{State: "all"}, Limit: 70}
	for page := 0; ; page++ {
		reply := answered[operatorapi.LettersReply](f, "ls", question)
		for _, letter := range reply.Letters {
			met[letter.ID]++
		}
		f.many(1000+10*page, 1009+10*page) // newer ones
		f.exec(`UPDATE dead_letters SET state = 'settled' WHERE id = (SELECT id FROM dead_letters WHERE state = 'review' LIMIT 1)`)
		if reply.Next == nil {
			break
		}
		question.Before, question.AsOf = *reply.Next, &reply.AsOf
	}
	require.Len(t, met, 900)
	for n := 1; n <= 900; n++ {
		require.Equal(t, 1, met[fmt.Sprintf("%08d-0000-4000-8000-000000000000", n)], n)
	}
}

func TestExportHasAttemptsAndStaysBelowTheAnswersLimit(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.many(1, 300)
	f.message(301, "acme", time.Hour, `{"vomoToken":"s3cret"}`)
	question := operatorapi.LettersQuestion{LettersFilter: operatorapi.LettersFilter{State: "all"}, Limit: operatorapi.MaxLetters}
	letters, pages := 0, 0
	for ; ; pages++ {
		reply := answered[operatorapi.LettersExport](f, "export", question) // which looks at its size
		for _, letter := range reply.Letters {
			if letter.Kind == "user" {
				require.Len(t, letter.History, 40)
			}
			letters++
		}
		if reply.Next == nil {
			break
		}
		question.Before, question.AsOf = *reply.Next, &reply.AsOf
	}
	require.Equal(t, 301, letters)
	require.Greater(t, pages, 2, "a page is cut by its size")
}

func TestListCountsLettersByErrorCode(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.record(1, "acme", time.Hour)
	f.record(2, "acme", 2*time.Hour)
	f.record(3, "acme", 3*time.Hour, waiting)
	f.record(4, "globex", 4*time.Hour)
	f.record(5, "acme", 5*time.Hour, settled)
	got := answered[operatorapi.LettersReply](f, "ls", operatorapi.LettersQuestion{
		LettersFilter: operatorapi.LettersFilter{CustomerID: "acme", State: "all"}, Limit: 1, Codes: true,
	})
	require.Equal(t, []operatorapi.LettersOfCode{
		{ErrorCode: "http_422", ErrorClass: "permanent", Letters: 3, Review: 2, OldestAt: now.Add(-5 * time.Hour)},
		{ErrorCode: "destination_5xx", ErrorClass: "retryable", Letters: 1, OldestAt: now.Add(-3 * time.Hour)},
	}, got.Codes, "of all that match, and not of the page alone")
	require.Len(t, got.Letters, 1)
	require.Nil(t, answered[operatorapi.LettersReply](f, "ls", operatorapi.LettersQuestion{}).Codes)
}
