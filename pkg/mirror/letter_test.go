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

func TestOneRefusedRecordCostsOneLetterAndNobodyElse(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(unprocessable, "", "2")

	outcome, err := h.apply(t, page(5, users(15)...), mirror.ApplyOptions{Probe: true, Lenient: true})

	require.NoError(t, err)
	require.Equal(t, mirror.Outcome{Written: 14, Failed: 1, HighestSeen: &noon}, counted(outcome))
	require.Equal(t, []letter{{Record: "2", State: "review", Class: "permanent", Code: "http_422", UpdatedAt: noon}}, h.letters(t))
	require.Equal(t, []int64{14}, values[int64](t, h, `SELECT count(*) FROM user_mappings`))
	require.Empty(t, values[string](t, h, `SELECT external_user_id FROM user_mappings WHERE vomo_user_id = '2'`), "no mapping before the first success")
	require.Equal(t, []string{"rollcall.dlq.retry.user.acme"}, values[string](t, h, `SELECT original_subject FROM dead_letters`), "to retry it now")
	require.Empty(t, values[string](t, h, `SELECT subject FROM outbox`), "the stream follows the table, and has one publisher")
	h.requireCursor(t, 5)
}

func TestTheSameVersionIsLeftToItsLetter(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(unprocessable, "", "1")
	h.applied(t, user("1"))
	before := h.letters(t)
	h.crm.works()
	h.crm.forget()

	require.Equal(t, 1, h.applied(t, user("1")).Skipped)
	require.Equal(t, 1, h.applied(t, user("1", after(-time.Hour))).Skipped, "an older one too")

	require.Empty(t, h.crm.saw())
	require.Equal(t, before, h.letters(t))
}

func TestANewerVersionWrittenSettlesTheLetterInTheSameTransaction(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(unprocessable, "", "1", "2")
	h.applied(t, users(2)...)
	h.crm.works()

	mended := page(2, user("1", after(time.Second)))
	crash := errors.New("the machine is gone")
	_, err := h.Apply(t.Context(), mended, mirror.ApplyOptions{}, func(context.Context, *store.Tx, mirror.Outcome) error { return crash })
	require.ErrorIs(t, err, crash)
	require.Equal(t, []string{"review", "review"}, values[string](t, h, `SELECT state FROM dead_letters`))

	_, err = h.apply(t, mended, mirror.ApplyOptions{})
	require.NoError(t, err)
	require.Equal(t, []string{"settled superseded"}, values[string](t, h, `SELECT state || ' ' || settled_how FROM dead_letters WHERE record_id = '1'`))
	require.Equal(t, []string{"review"}, values[string](t, h, `SELECT state FROM dead_letters WHERE record_id = '2'`), "another's letter stays")
	require.Equal(t, []bool{true}, values[bool](t, h, `SELECT d.xmin = m.xmin FROM dead_letters d JOIN user_mappings m ON m.vomo_user_id = d.record_id`))
}

func TestANewerVersionRefusedReplacesTheLetter(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(unprocessable, "", "1")
	h.applied(t, user("1"))
	h.crm.says(http.StatusBadRequest, `{"code":"phone_unreadable"}`, "1")

	require.Equal(t, 1, h.applied(t, user("1", named("In the same second"))).Failed)
	require.Equal(t, 1, h.applied(t, user("1", after(time.Second))).Failed)

	require.Equal(t, []letter{
		{Record: "1", State: "settled", Class: "permanent", Code: "http_422", How: "superseded", UpdatedAt: noon},
		{Record: "1", State: "settled", Class: "permanent", Code: "phone_unreadable", How: "superseded", UpdatedAt: noon},
		{Record: "1", State: "review", Class: "permanent", Code: "phone_unreadable", UpdatedAt: noon.Add(time.Second)},
	}, h.letters(t))
	require.Empty(t, values[string](t, h, `SELECT vomo_user_id FROM user_mappings`))
}

func TestAMappedUserWhoseNewerVersionIsRefusedKeepsTheMapping(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.applied(t, user("1"))
	h.crm.says(unprocessable, "", "1")

	require.Equal(t, 1, h.applied(t, user("1", after(time.Second))).Failed)

	require.Equal(t, []time.Time{noon}, inUTC(values[time.Time](t, h, `SELECT last_synced_updated_at FROM user_mappings`)))
	require.Len(t, h.letters(t), 1)
}

func TestARetryableFailureAloneIsRetriedInPlaceAndThenWaitsFiveSeconds(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(http.StatusServiceUnavailable, "", "2")

	outcome := h.applied(t, users(6)...)

	require.Equal(t, mirror.Outcome{Written: 5, Failed: 1, HighestSeen: &noon}, counted(outcome))
	require.Equal(t, 3, count(h.crm.saw(), "2"))
	require.Equal(t, []letter{{Record: "2", State: "waiting", Class: "retryable", Code: "destination_5xx", Wait: 5, UpdatedAt: noon}}, h.letters(t))
}

func TestAFailureThatPassesInPlaceLeavesNoTrace(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.answers(func(id string, r *http.Request) (int, string) {
		if id == "2" && count(h.crm.saw(), id) < 3 {
			return http.StatusBadGateway, ""
		}
		return takes(id, r)
	})

	require.Equal(t, 3, h.applied(t, users(3)...).Written)

	require.Empty(t, h.letters(t))
	require.Equal(t, []bool{true, true, true}, values[bool](t, h, `SELECT succeeded FROM sync_audit`))
}

func TestAnEntryThatCannotBeReadGetsALetterAndFailsNobody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	broken := page(3, users(2)...)
	broken.Bad = []vomo.BadUser{{ID: "77", Reason: "email: not a text"}, {Reason: "id: missing", Key: "a"}, {Reason: "entry: not an object", Key: "b"}}

	outcome, err := h.apply(t, broken, mirror.ApplyOptions{})

	require.NoError(t, err)
	require.Equal(t, mirror.Outcome{Written: 2, Failed: 3, HighestSeen: &noon}, counted(outcome))
	records := values[string](t, h, `SELECT record_id FROM dead_letters WHERE error_code = 'source_record_invalid' AND state = 'review' ORDER BY 1`)
	require.Len(t, records, 3)
	require.Equal(t, "77", records[0])
	for _, record := range records[1:] {
		require.Regexp(t, `^unreadable-[0-9a-f]{24}$`, record, "named by what it holds, in nobody's clear")
	}
	require.Len(t, outcome.Seen, 5)

	broken.Number, broken.Bad = 2, []vomo.BadUser{broken.Bad[2], broken.Bad[0], broken.Bad[1]} // somebody before them was deleted
	again, err := h.apply(t, broken, mirror.ApplyOptions{})
	require.NoError(t, err)
	require.Equal(t, 5, again.Skipped, "its letter is open")
	require.Len(t, h.letters(t), 3)

	require.Equal(t, 1, h.applied(t, user("77")).Written, "it can be read again")
	require.Equal(t, []string{"superseded"}, values[string](t, h, `SELECT settled_how FROM dead_letters WHERE record_id = '77'`))
}

func TestAnUnreadableEntryThatComesTwiceGetsOneLetter(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(unprocessable, "", "1")
	broken := page(1, users(2)...)
	broken.Bad = []vomo.BadUser{
		{ID: "9", Reason: "email: not a text"}, {ID: "9", Reason: "email: not a text"}, // twice on one page
		{ID: "1", Reason: "phone: not a text"}, // and one that can be read beside it
	}

	outcome, err := h.apply(t, broken, mirror.ApplyOptions{})

	require.NoError(t, err)
	require.Equal(t, mirror.Outcome{Written: 1, Skipped: 2, Failed: 2, HighestSeen: &noon}, counted(outcome))
	require.Equal(t, []string{"1 http_422", "9 source_record_invalid"},
		values[string](t, h, `SELECT record_id || ' ' || error_code FROM dead_letters ORDER BY 1`))
}

func count(list []string, value string) (n int) {
	for _, one := range list {
		if one == value {
			n++
		}
	}
	return n
}
