package mirror_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

func TestPageCommitsMappingsAuditLettersAndCursorInOneTransaction(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(http.StatusUnprocessableEntity, "", "3")

	outcome, err := f.apply(t, page(4, user("1"), user("2", updatedAfter(time.Hour)), user("3")), mirror.ApplyOptions{})

	require.NoError(t, err)
	latest := noon.Add(time.Hour)
	require.Equal(t, mirror.Outcome{Written: 2, Failed: 1, HighestSeen: &latest}, withoutIDs(outcome))
	f.requireCursor(t, 4)
	require.Equal(t, []string{"1 crm-1 u1@example.org", "2 crm-2 u2@example.org"}, queryColumn[string](t, f,
		`SELECT concat_ws(' ', vomo_user_id, external_user_id, last_known_email) FROM user_mappings ORDER BY 1`))
	require.Equal(t, []string{"1 user backfill 7 00-trace-01 t", "2 user backfill 7 00-trace-01 t", "3 user backfill 7 00-trace-01 f http_422"},
		queryColumn[string](t, f, `SELECT concat_ws(' ', record_id, resource_type, operation, job_id, trace_id, succeeded, error_code)
			FROM sync_audit WHERE customer_id = 'acme' ORDER BY 1`))

	transactions := queryColumn[string](t, f, `SELECT xmin::text FROM user_mappings UNION SELECT xmin::text FROM sync_audit
		UNION SELECT xmin::text FROM dead_letters UNION SELECT xmin::text FROM sync_checkpoints
		UNION SELECT xmin::text FROM customer_leases`)
	require.Len(t, transactions, 1, "the lease renewal, the page and the cursor are one transaction")
}

func TestSamePageAgainWritesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(http.StatusUnprocessableEntity, "", "2")
	f.mustApply(t, users(3)...)
	f.crm.forgetRequests()

	outcome, err := f.apply(t, page(2, users(3)...), mirror.ApplyOptions{})

	require.NoError(t, err)
	require.Equal(t, mirror.Outcome{Skipped: 3, HighestSeen: &noon}, withoutIDs(outcome))
	require.Empty(t, f.crm.requests())
	require.Equal(t, []int64{3}, queryColumn[int64](t, f, `SELECT count(*) FROM sync_audit`), "no second audit entry")
	require.Len(t, f.letters(t), 1)
	f.requireCursor(t, 2)
}

func TestPageWithoutUsersMovesOnlyTheCursor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)

	outcome, err := f.apply(t, page(9), mirror.ApplyOptions{Probe: true})

	require.NoError(t, err)
	require.Equal(t, mirror.Outcome{}, withoutIDs(outcome), "a page without users has no latest change")
	f.requireCursor(t, 9)
	require.Empty(t, queryColumn[string](t, f, `SELECT record_id FROM sync_audit`))
}

func TestFailedCursorUpdateRollsBackThePage(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(http.StatusUnprocessableEntity, "", "2")
	failed := errors.New("cursor update failed")

	_, err := f.Apply(t.Context(), page(1, users(3)...), mirror.ApplyOptions{}, func(context.Context, *store.Tx, mirror.Outcome) error {
		return failed
	})

	require.ErrorIs(t, err, failed)
	f.requireNothingCommitted(t)
}

func TestCrashBetweenWriteAndCommitWritesAgainAndAuditsOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	crash := errors.New("crash")
	_, err := f.Apply(t.Context(), page(1, user("1")), mirror.ApplyOptions{}, func(context.Context, *store.Tx, mirror.Outcome) error {
		return crash
	})
	require.ErrorIs(t, err, crash)
	first := f.crm.record("1")

	outcome := f.mustApply(t, user("1"))

	require.Equal(t, 1, outcome.Written)
	require.Equal(t, []string{"1", "1"}, f.crm.requests(), "delivery is at least once")
	require.Equal(t, first, f.crm.record("1"), "the second request sends the same record")
	require.Equal(t, []string{"1"}, queryColumn[string](t, f, `SELECT record_id FROM sync_audit WHERE succeeded`))
}

func TestRecordHasTheFieldsThatDestinationsExpect(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	created := noon.AddDate(-1, 0, 0)

	f.mustApply(t, user("1", func(u *vomo.User) { u.UserStatus = new("VERIFIED") }),
		user("2", func(u *vomo.User) { *u = vomo.User{ID: "2", UpdatedAt: noon} }))

	got := f.crm.record("1")
	require.Equal(t, "vomo-1", got.ExternalID)
	require.Equal(t, []string{"u1@example.org", "First-1", "Last", "+44 20 7946 0000"}, []string{*got.Email, *got.FirstName, *got.LastName, *got.Phone})
	require.Equal(t, []string{"VERIFIED", "member"}, []string{*got.CustomFields.UserStatus, *got.CustomFields.MembershipRole})
	require.Equal(t, created, *got.CustomFields.VomoCreatedAt)
	require.Equal(t, noon, got.SourceUpdatedAt)

	bare := f.crm.record("2")
	require.Nil(t, bare.Email, "null stays null")
	require.Nil(t, bare.FirstName)
	require.Nil(t, bare.CustomFields.VomoCreatedAt)
}

func TestPersonalDataIsStoredOnlyInLastKnownEmail(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.crm.respond(http.StatusUnprocessableEntity, `{"code":"not accepted: First-2 u2@example.org"}`, "2")

	f.mustApply(t, users(2)...)

	kept := strings.Join(queryColumn[string](t, f, `SELECT to_jsonb(a)::text FROM sync_audit a UNION ALL SELECT to_jsonb(d)::text FROM dead_letters d
		UNION ALL SELECT convert_from(payload, 'UTF8') || headers::text FROM outbox
		UNION ALL SELECT (to_jsonb(m) - 'last_known_email')::text FROM user_mappings m`), "\n")
	require.Contains(t, kept, `"http_422"`)
	for _, personal := range []string{"First-1", "First-2", "Last", "example.org", "+44 20 7946"} {
		require.NotContains(t, kept, personal)
	}
}

func TestPagesTogetherAreCommittedInOneTransactionAndCountedOneByOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	const scan = 7
	require.NoError(t, f.Store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return tx.NoteSeen(ctx, scan, 0, []store.SeenUser{{ID: "2"}})
	}))
	pages := []vomo.Page{page(3, user("1"), user("2")), page(4, user("2"), user("3"), user("4"))}

	compared, err := f.Compare(t.Context(), pages, mirror.ApplyOptions{Scan: scan})
	require.NoError(t, err)
	written, err := compared.Write(t.Context())
	require.NoError(t, err)
	crash := errors.New("crash")
	_, err = written.Commit(t.Context(), func(context.Context, *store.Tx, mirror.Outcome) error { return crash })
	require.ErrorIs(t, err, crash)
	f.requireNothingCommitted(t)
	outcome, err := written.Commit(t.Context(), func(context.Context, *store.Tx, mirror.Outcome) error { return nil })

	require.NoError(t, err)
	require.Equal(t, 4, outcome.Written)
	require.Equal(t, 1, outcome.Skipped, "the user who moved to the next page is written once")
	require.Len(t, outcome.Seen, 2)
	require.Len(t, outcome.Seen[0].Users, 2)
	require.Equal(t, int64(1), outcome.Seen[0].New, "the scan had seen the other")
	require.Len(t, outcome.Seen[1].Users, 3)
	require.Equal(t, int64(2), outcome.Seen[1].New, "the first of them is on the page before")
	require.Equal(t, []int64{4}, queryColumn[int64](t, f, `SELECT count(*) FROM user_mappings`))
	require.Len(t, f.crm.requests(), 4)
}
