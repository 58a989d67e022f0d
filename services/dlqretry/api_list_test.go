package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
)

func TestEachFilterMeansTheLettersThatItSays(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.record(1, "acme", time.Hour)
	o.record(2, "acme", 2*time.Hour, waiting)
	o.record(3, "globex", 3*time.Hour, `job = 'initial_backfill'`)
	o.record(4, "acme", 4*time.Hour, settled)
	o.message(5, "acme", 5*time.Hour, `{}`)
	o.message(6, "_unknown", 72*time.Hour, `{}`)
	for name, one := range map[string]struct {
		filter report.LettersFilter
		want   []string
	}{
		"open ones, newest first": {report.LettersFilter{}, []string{"1", "2", "3", "5", "6"}},
		"all":                     {report.LettersFilter{State: "all"}, []string{"1", "2", "3", "4", "5", "6"}},
		"a customer":              {report.LettersFilter{CustomerID: "acme"}, []string{"1", "2", "5"}},
		"nobody":                  {report.LettersFilter{CustomerID: "_unknown"}, []string{"6"}},
		"a kind":                  {report.LettersFilter{Kind: "message"}, []string{"5", "6"}},
		"waiting":                 {report.LettersFilter{State: "waiting"}, []string{"2"}},
		"review":                  {report.LettersFilter{State: "review", CustomerID: "acme"}, []string{"1", "5"}},
		"settled":                 {report.LettersFilter{State: "settled"}, []string{"4"}},
		"a code":                  {report.LettersFilter{ErrorCode: "http_422"}, []string{"1", "3"}},
		"a class":                 {report.LettersFilter{ErrorClass: "retryable"}, []string{"2"}},
		"older":                   {report.LettersFilter{OlderThanSeconds: 3 * 3600}, []string{"3", "5", "6"}},
		"newer":                   {report.LettersFilter{NewerThanSeconds: 3 * 3600}, []string{"1", "2"}},
		"between":                 {report.LettersFilter{OlderThanSeconds: 2 * 3600, NewerThanSeconds: 5 * 3600}, []string{"2", "3"}},
		"a record":                {report.LettersFilter{RecordID: "822"}, []string{"2"}},
		"text in the code":        {report.LettersFilter{Text: "_5XX"}, []string{"2"}},
		"text in the record":      {report.LettersFilter{Text: "823"}, []string{"3"}},
		"text in the subject":     {report.LettersFilter{Text: "Onboarding.Request"}, []string{"5", "6"}},
		"text in the job":         {report.LettersFilter{Text: "initial_"}, []string{"3"}},
		"text as it is":           {report.LettersFilter{Text: "%"}, []string{}},
		"an id":                   {report.LettersFilter{IDs: []string{"00000003-0000-4000-8000-000000000000"}}, []string{"3"}},
		"the beginnings of ids":   {report.LettersFilter{IDs: []string{"00000002-0", "00000006"}}, []string{"2", "6"}},
		"several at once":         {report.LettersFilter{CustomerID: "acme", Kind: "user", State: "all", Text: "poll"}, []string{"1", "2", "4"}},
		"nothing":                 {report.LettersFilter{CustomerID: "globex", Kind: "message"}, []string{}},
	} {
		require.Equal(t, one.want, o.listed(one.filter), name)
	}
}

func TestALetterInAListSaysHowItStands(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.record(1, "acme", time.Hour, waiting)
	got := answered[report.LettersReply](o, "ls", report.LettersQuestion{})
	require.Equal(t, officeNow, got.AsOf.UTC())
	require.Nil(t, got.Next)
	at := officeNow.Add(-time.Hour)
	require.Equal(t, []report.Letter{{
		ID: "00000001-0000-4000-8000-000000000000", CustomerID: "acme", Kind: "user", RecordID: new("821"), ErrorCode: "destination_5xx",
		ErrorClass: "retryable", State: "waiting", Attempts: 1, FirstFailedAt: at, LastFailedAt: at, AgeSeconds: 3600,
		NextAttemptAt: new(officeNow.Add(4 * time.Minute)), Job: "user_sync_poll",
	}}, got.Letters)
}

func TestAQuestionThatCannotBeNamesItsFields(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	_, code, text := ask[report.LettersReply](o, "ls", report.LettersQuestion{Before: "here", LettersFilter: report.LettersFilter{
		CustomerID: "ACME", Kind: "person", State: "lost", ErrorClass: "odd", IDs: []string{"1f0c"}, Text: strings.Repeat("x", 300),
		OlderThanSeconds: 9, NewerThanSeconds: 9,
	}})
	require.Equal(t, service.CodeBadRequest, code)
	for _, field := range []string{"customerId", "kind", "state", "errorClass", "ids", "text", "newerThanSeconds", "before"} {
		require.Contains(t, text, `"`+field+`":[`)
	}
}

func TestACustomerOfWhomNothingIsKnownIsToldFromOneWithoutLetters(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	require.Empty(t, o.listed(report.LettersFilter{CustomerID: "acme"}))
	require.Empty(t, o.listed(report.LettersFilter{CustomerID: "_unknown"}))
	for _, verb := range []string{"ls", "export"} {
		_, code, _ := ask[report.LettersReply](o, verb, report.LettersFilter{CustomerID: "initech"})
		require.Equal(t, service.CodeNotFound, code)
	}
	_, code, _ := ask[report.LettersDone](o, "discard", all(report.LettersFilter{CustomerID: "initech"}))
	require.Equal(t, service.CodeNotFound, code)
	o.message(1, "initech", time.Hour, `{}`) // it was never onboarded: its message could not be handled
	require.Equal(t, []string{"1"}, o.listed(report.LettersFilter{CustomerID: "initech"}))
	require.Empty(t, o.listed(report.LettersFilter{CustomerID: "initech", Kind: "user"}))
}

// many opens letters numbered from..to, ten of them in the same second.
func (o *office) many(from, to int) {
	o.exec(`INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state, first_failed_at,
			last_failed_at, history)
		SELECT (lpad(i::text, 8, '0') || '-0000-4000-8000-000000000000')::uuid, 'acme', 'user', i::text, repeat('s', 200), repeat('j', 100),
			repeat('e', 100), 'permanent', CASE WHEN i % 3 = 0 THEN 'settled' ELSE 'review' END, failed, now(),
			(SELECT jsonb_agg(jsonb_build_object('at', failed, 'code', repeat('c', 90) || g, 'job', 'dlq_retry')) FROM generate_series(1, 40) g)
		FROM generate_series($1::int, $2::int) i, LATERAL (SELECT rollcall_now() - interval '10 days' + (i / 10) * interval '1 second' AS failed) v`, from, to)
}

func TestPagesMissNobodyAndRepeatNobodyWhileOthersAreOpenedAndSettled(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.many(1, 900)
	met := map[string]int{}
	question := report.LettersQuestion{LettersFilter: report.LettersFilter{State: "all"}, Limit: 70}
	for page := 0; ; page++ {
		reply := answered[report.LettersReply](o, "ls", question)
		for _, letter := range reply.Letters {
			met[letter.ID]++
		}
		o.many(1000+10*page, 1009+10*page) // newer ones
		o.exec(`UPDATE dead_letters SET state = 'settled' WHERE id = (SELECT id FROM dead_letters WHERE state = 'review' LIMIT 1)`)
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

func TestAnExportHasAttemptsAndStaysBelowWhatAnAnswerMayHold(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.many(1, 300)
	o.message(301, "acme", time.Hour, `{"vomoToken":"s3cret"}`)
	question := report.LettersQuestion{LettersFilter: report.LettersFilter{State: "all"}, Limit: report.MaxLetters}
	letters, pages := 0, 0
	for ; ; pages++ {
		reply := answered[report.LettersExport](o, "export", question) // which looks at its size
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
