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

func TestAPageIsWrittenMappedAuditedAndRememberedInOneTransaction(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(http.StatusUnprocessableEntity, "", "3")

	outcome, err := h.apply(t, page(4, user("1"), user("2", after(time.Hour)), user("3")), mirror.ApplyOptions{})

	require.NoError(t, err)
	latest := noon.Add(time.Hour)
	require.Equal(t, mirror.Outcome{Written: 2, Failed: 1, HighestSeen: &latest}, counted(outcome))
	h.requireCursor(t, 4)
	require.Equal(t, []string{"1 crm-1 u1@example.org", "2 crm-2 u2@example.org"}, values[string](t, h,
		`SELECT concat_ws(' ', vomo_user_id, external_user_id, last_known_email) FROM user_mappings ORDER BY 1`))
	require.Equal(t, []string{"1 user backfill 7 00-trace-01 t", "2 user backfill 7 00-trace-01 t", "3 user backfill 7 00-trace-01 f http_422"},
		values[string](t, h, `SELECT concat_ws(' ', record_id, resource_type, operation, job_id, trace_id, succeeded, error_code)
			FROM sync_audit WHERE customer_id = 'acme' ORDER BY 1`))

	transactions := values[string](t, h, `SELECT xmin::text FROM user_mappings UNION SELECT xmin::text FROM sync_audit
		UNION SELECT xmin::text FROM dead_letters UNION SELECT xmin::text FROM sync_checkpoints
		UNION SELECT xmin::text FROM customer_leases`)
	require.Len(t, transactions, 1, "the lease's renewal, the page and the cursor are one transaction")
}

func TestTheSamePageAgainWritesNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(http.StatusUnprocessableEntity, "", "2")
	h.applied(t, users(3)...)
	h.crm.forget()

	outcome, err := h.apply(t, page(2, users(3)...), mirror.ApplyOptions{})

	require.NoError(t, err)
	require.Equal(t, mirror.Outcome{Skipped: 3, HighestSeen: &noon}, counted(outcome))
	require.Empty(t, h.crm.saw())
	require.Equal(t, []int64{3}, values[int64](t, h, `SELECT count(*) FROM sync_audit`), "no second line")
	require.Len(t, h.letters(t), 1)
	h.requireCursor(t, 2)
}

func TestAPageWithoutUsersMovesTheCursorAlone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)

	outcome, err := h.apply(t, page(9), mirror.ApplyOptions{Probe: true})

	require.NoError(t, err)
	require.Equal(t, mirror.Outcome{}, counted(outcome), "without users nothing is the latest")
	h.requireCursor(t, 9)
	require.Empty(t, values[string](t, h, `SELECT record_id FROM sync_audit`))
}

func TestACursorThatIsNotTakenRollsThePageBack(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(http.StatusUnprocessableEntity, "", "2")
	refused := errors.New("no cursor today")

	_, err := h.Apply(t.Context(), page(1, users(3)...), mirror.ApplyOptions{}, func(context.Context, *store.Tx, mirror.Outcome) error {
		return refused
	})

	require.ErrorIs(t, err, refused)
	h.requireNothingCommitted(t)
}

func TestACrashBetweenWriteAndCommitWritesAgainAndAuditsOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	crash := errors.New("the machine is gone")
	_, err := h.Apply(t.Context(), page(1, user("1")), mirror.ApplyOptions{}, func(context.Context, *store.Tx, mirror.Outcome) error {
		return crash
	})
	require.ErrorIs(t, err, crash)
	first := h.crm.record("1")

	outcome := h.applied(t, user("1"))

	require.Equal(t, 1, outcome.Written)
	require.Equal(t, []string{"1", "1"}, h.crm.saw(), "at least once …")
	require.Equal(t, first, h.crm.record("1"), "… with the same record")
	require.Equal(t, []string{"1"}, values[string](t, h, `SELECT record_id FROM sync_audit WHERE succeeded`))
}

func TestARecordGoesOutInTheRecipesShape(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	created := noon.AddDate(-1, 0, 0)

	h.applied(t, user("1"), user("2", func(u *vomo.User) { *u = vomo.User{ID: "2", UpdatedAt: noon} }))

	got := h.crm.record("1")
	require.Equal(t, "vomo-1", got.ExternalID)
	require.Equal(t, "First-1", *got.FirstName)
	require.Equal(t, "member", *got.CustomFields.MembershipRole)
	require.Equal(t, created, *got.CustomFields.VomoCreatedAt)
	require.Equal(t, noon, got.SourceUpdatedAt)

	bare := h.crm.record("2")
	require.Nil(t, bare.Email, "null stays null")
	require.Nil(t, bare.FirstName)
	require.Nil(t, bare.CustomFields.VomoCreatedAt)
}

func TestNobodysDataIsLeftOutsideTheColumnThatNeedsIt(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.crm.says(http.StatusUnprocessableEntity, `{"code":"no room for First-2 u2@example.org"}`, "2")

	h.applied(t, users(2)...)

	kept := strings.Join(values[string](t, h, `SELECT to_jsonb(a)::text FROM sync_audit a UNION ALL SELECT to_jsonb(d)::text FROM dead_letters d
		UNION ALL SELECT convert_from(payload, 'UTF8') || headers::text FROM outbox
		UNION ALL SELECT (to_jsonb(m) - 'last_known_email')::text FROM user_mappings m`), "\n")
	require.Contains(t, kept, `"http_422"`)
	for _, personal := range []string{"First-1", "First-2", "Last", "example.org", "+44 20 7946"} {
		require.NotContains(t, kept, personal)
	}
}
