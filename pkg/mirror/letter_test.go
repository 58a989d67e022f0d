package mirror_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

const unprocessable = http.StatusUnprocessableEntity

func TestRejectedRecordOpensOneLetterAndOtherRecordsAreWritten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(unprocessable, "", "2")

	outcome, err := f.apply(t, page(5, users(15)...), mirror.ApplyOptions{Probe: true, PresumeOutage: true})

	require.NoError(t, err)
	require.Equal(t, mirror.Outcome{Written: 14, Failed: 1, HighestSeen: &noon}, withoutIDs(outcome))
	require.Equal(t, []letter{{Record: "2", State: "review", Class: "permanent", Code: "http_422", UpdatedAt: noon}}, f.letters(t))
	require.Equal(t, []int64{14}, queryColumn[int64](t, f, `SELECT count(*) FROM user_mappings`))
	require.Empty(t, queryColumn[string](t, f, `SELECT external_user_id FROM user_mappings WHERE vomo_user_id = '2'`), "no mapping before the first success")
	require.Equal(t, []bool{true}, queryColumn[bool](t, f, `SELECT original_subject = 'rollcall.dlq.retry.user.acme.' || id FROM dead_letters`),
		"republishing to this subject retries the letter now")
	require.Empty(t, queryColumn[string](t, f, `SELECT subject FROM outbox`),
		"the dead-letter stream has one publisher, which reads the table; mirror publishes no letter")
	f.requireCursor(t, 5)
}

func TestVersionWithAnOpenLetterIsSkipped(t *testing.T) {
	t.Parallel()
	for name, noneBefore := range map[string]bool{"a lane that reads letters": false, "a lane that opened the first letter itself": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.NoLetters = noneBefore
			f.crm.respond(unprocessable, "", "1")
			f.mustApply(t, user("1"))
			before := f.letters(t)
			f.crm.acceptAll()
			f.crm.forgetRequests()

			require.Equal(t, 1, f.mustApply(t, user("1")).Skipped)
			require.Equal(t, 1, f.mustApply(t, user("1", updatedAfter(-time.Hour))).Skipped, "an older version is skipped too")

			require.Empty(t, f.crm.requests())
			require.Equal(t, before, f.letters(t))
		})
	}
}

func TestNewerVersionSettlesTheLetterInTheSameTransaction(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(unprocessable, "", "1", "2")
	f.mustApply(t, users(2)...)
	f.crm.acceptAll()

	newerPage := page(2, user("1", updatedAfter(time.Second)))
	crash := errors.New("crash")
	_, err := f.Apply(t.Context(), newerPage, mirror.ApplyOptions{}, func(context.Context, *store.Tx, mirror.Outcome) error { return crash })
	require.ErrorIs(t, err, crash)
	require.Equal(t, []string{"review", "review"}, queryColumn[string](t, f, `SELECT state FROM dead_letters`))

	_, err = f.apply(t, newerPage, mirror.ApplyOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"settled superseded"}, queryColumn[string](t, f, `SELECT state || ' ' || settled_how FROM dead_letters WHERE record_id = '1'`))
	require.Equal(t, []string{"review"}, queryColumn[string](t, f, `SELECT state FROM dead_letters WHERE record_id = '2'`),
		"the letter of another record stays open")
	require.Equal(t, []bool{true}, queryColumn[bool](t, f, `SELECT d.xmin = m.xmin FROM dead_letters d JOIN user_mappings m ON m.vomo_user_id = d.record_id`))
}

func TestRejectedNewerVersionReplacesTheLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(unprocessable, "", "1")
	f.mustApply(t, user("1"))
	f.crm.respond(http.StatusBadRequest, `{"code":"phone_unreadable"}`, "1")

	require.Equal(t, 1, f.mustApply(t, user("1", withFirstName("In the same second"))).Failed)
	require.Equal(t, 1, f.mustApply(t, user("1", updatedAfter(time.Second))).Failed)

	require.Equal(t, []letter{
		{Record: "1", State: "settled", Class: "permanent", Code: "http_422", How: "superseded", UpdatedAt: noon},
		{Record: "1", State: "settled", Class: "permanent", Code: "phone_unreadable", How: "superseded", UpdatedAt: noon},
		{Record: "1", State: "review", Class: "permanent", Code: "phone_unreadable", UpdatedAt: noon.Add(time.Second)},
	}, f.letters(t))
	require.Empty(t, queryColumn[string](t, f, `SELECT vomo_user_id FROM user_mappings`))
}

func TestRejectedNewerVersionKeepsTheMapping(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.mustApply(t, user("1"))
	f.crm.respond(unprocessable, "", "1")

	require.Equal(t, 1, f.mustApply(t, user("1", updatedAfter(time.Second))).Failed)

	require.Equal(t, []time.Time{noon}, inUTC(queryColumn[time.Time](t, f, `SELECT last_synced_updated_at FROM user_mappings`)))
	require.Len(t, f.letters(t), 1)
}

func TestSingleRetryableFailureIsRetriedThreeTimesAndItsLetterWaitsFiveSeconds(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(http.StatusServiceUnavailable, "", "2")

	outcome := f.mustApply(t, users(6)...)

	require.Equal(t, mirror.Outcome{Written: 5, Failed: 1, HighestSeen: &noon}, withoutIDs(outcome))
	require.Equal(t, 3, countOf(f.crm.requests(), "2"))
	require.Equal(t, []letter{{Record: "2", State: "waiting", Class: "retryable", Code: "destination_5xx", Wait: 5, UpdatedAt: noon}}, f.letters(t))
}

func TestFailureThatARetryResolvesOpensNoLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.setAnswer(func(id string, r *http.Request) (int, string) {
		if id == "2" && countOf(f.crm.requests(), id) < 3 {
			return http.StatusBadGateway, ""
		}
		return accept(id, r)
	})

	require.Equal(t, 3, f.mustApply(t, users(3)...).Written)

	require.Empty(t, f.letters(t))
	require.Equal(t, []bool{true, true, true}, queryColumn[bool](t, f, `SELECT succeeded FROM sync_audit`))
}

func TestUnreadableEntryOpensALetterAndOtherRecordsAreWritten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	broken := page(3, users(2)...)
	broken.Bad = []vomo.BadUser{{ID: "77", Reason: "email: not a text"}, {Reason: "id: missing", Key: "a"}, {Reason: "entry: not an object", Key: "b"}}

	outcome, err := f.apply(t, broken, mirror.ApplyOptions{})

	require.NoError(t, err)
	require.Equal(t, mirror.Outcome{Written: 2, Failed: 3, HighestSeen: &noon}, withoutIDs(outcome))
	records := queryColumn[string](t, f, `SELECT record_id FROM dead_letters WHERE error_code = 'source_record_invalid' AND state = 'review' ORDER BY 1`)
	require.Len(t, records, 3)
	require.Equal(t, "77", records[0])
	for _, record := range records[1:] {
		require.Regexp(t, `^unreadable-[0-9a-f]{24}$`, record, "the id is a hash of the content and does not reveal it")
	}
	require.Len(t, outcome.Seen[0].Users, 5)

	broken.Number, broken.Bad = 2, []vomo.BadUser{broken.Bad[2], broken.Bad[0], broken.Bad[1]} // a user before them was deleted
	outcome, err = f.apply(t, broken, mirror.ApplyOptions{})
	require.NoError(t, err)
	require.Equal(t, 5, outcome.Skipped, "the letters of unreadable entries are open")
	require.Len(t, f.letters(t), 3)

	require.Equal(t, 1, f.mustApply(t, user("77")).Written, "the entry can be read again")
	require.Equal(t, []string{"superseded"}, queryColumn[string](t, f, `SELECT settled_how FROM dead_letters WHERE record_id = '77'`))
}

func TestDuplicateUnreadableEntryOpensOneLetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(unprocessable, "", "1")
	broken := page(1, users(2)...)
	broken.Bad = []vomo.BadUser{
		{ID: "9", Reason: "email: not a text"}, {ID: "9", Reason: "email: not a text"}, // twice on one page
		{ID: "1", Reason: "phone: not a text"}, // the page also has a readable entry with this id
	}

	outcome, err := f.apply(t, broken, mirror.ApplyOptions{})

	require.NoError(t, err)
	require.Equal(t, mirror.Outcome{Written: 1, Skipped: 2, Failed: 2, HighestSeen: &noon}, withoutIDs(outcome))
	require.Equal(t, []string{"1 http_422", "9 source_record_invalid"},
		queryColumn[string](t, f, `SELECT record_id || ' ' || error_code FROM dead_letters ORDER BY 1`))
}

func countOf(list []string, value string) (n int) {
	for _, one := range list {
		if one == value {
			n++
		}
	}
	return n
}

func TestLetterKeepsTheDestinationsAnswer(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.SealAnswer = func(plain []byte) ([]byte, error) { return append([]byte("sealed "), plain...), nil }
	kept := func() []string {
		return queryColumn[string](t, f, `SELECT coalesce(convert_from(answer_sealed, 'UTF8'), '') FROM dead_letters WHERE state <> 'settled'`)
	}
	f.crm.respond(unprocessable, `{"code":"invalid","message":"first"}`, "1")
	f.mustApply(t, users(2)...)
	require.Equal(t, []string{`sealed {"status":422,"text":"{\"code\":\"invalid\",\"message\":\"first\"}"}`}, kept())

	f.crm.respond(unprocessable, `second`, "1")
	_, err := f.apply(t, page(1, user("1")), mirror.ApplyOptions{Redrive: true})
	require.NoError(t, err)
	require.Equal(t, []string{`sealed {"status":422,"text":"second"}`}, kept(), "the letter keeps the answer to the last attempt")

	f.crm.respond(unprocessable, ``, "1")
	_, err = f.apply(t, page(1, user("1")), mirror.ApplyOptions{Redrive: true})
	require.NoError(t, err)
	require.Equal(t, []string{``}, kept())
}

func TestAnswerThatCannotBeSealedCommitsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	unavailable := errors.New("key service unavailable")
	f.SealAnswer = func([]byte) ([]byte, error) { return nil, unavailable }
	f.crm.respond(unprocessable, `{"message":"about a person"}`, "1")
	_, err := f.apply(t, page(1, users(2)...), mirror.ApplyOptions{})
	require.ErrorIs(t, err, unavailable)
	f.requireNothingCommitted(t)
}
