package retry

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/store"
)

// deletionLetter adds a user that the destination has and VOMO does not, and opens a due letter about its deletion.
func (f *fixture) deletionLetter(t testing.TB, id string) uuid.UUID {
	t.Helper()
	f.user(t, "acme", id, march)
	f.set(func() { delete(f.users, id) })
	f.exec(t, `UPDATE user_mappings SET external_user_id = 'crm-' || vomo_user_id`)
	f.exec(t, `INSERT INTO deletion_runs (id, customer_id, entity, job_id, trace_id, state, mapped, started_at, failed)
		OVERRIDING SYSTEM VALUE VALUES (1, 'acme', 'user', 1, 't', 'done', 5, now(), 1) ON CONFLICT DO NOTHING`)
	f.exec(t, `INSERT INTO deletion_candidates (run_id, record_id, customer_id, state, source_updated_at, sealed, noted_at)
		VALUES (1, $1, 'acme', 'failed', now(), '', now())`, id)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return deadletter.OpenRecords(ctx, tx, deadletter.Scope{Customer: "acme", Kind: deadletter.KindUserDelete, Job: "user_deletions", TraceID: "00-trace-01"},
			[]deadletter.Rejection{{RecordID: id, Version: f.version(t, "acme", id, march), Code: "destination_5xx", Retryable: true}})
	}))
	f.due(t)
	return value[uuid.UUID](t, f, `SELECT id FROM dead_letters WHERE record_id = $1 AND kind = 'user_delete' AND state <> 'settled'`, id)
}

func TestDeletionThatFailedIsMadeWhenVOMOStillHasNoSuchUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	letter := f.deletionLetter(t, "7")

	require.Empty(t, f.round(t, "acme", 0, "").Reason)

	require.Equal(t, "retried", f.state(t, letter))
	require.Equal(t, []string{"crm-7"}, f.deleted)
	require.Zero(t, value[int](t, f, `SELECT count(*) FROM user_mappings`))
	require.Equal(t, "deleted", value[string](t, f, `SELECT state FROM deletion_candidates`))
	require.Equal(t, "1 0", value[string](t, f, `SELECT deleted || ' ' || failed FROM deletion_runs`))
	require.Equal(t, "delete 7", value[string](t, f, `SELECT operation || ' ' || record_id FROM sync_audit WHERE succeeded`))
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.user.deleted.acme'`))
}

func TestDeletionOfAUserThatVOMOHasAgainIsDroppedAndTheUserIsWritten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	letter := f.deletionLetter(t, "7")
	f.set(func() { f.users["7"] = april })

	f.round(t, "acme", 0, "")

	require.Equal(t, "superseded", f.state(t, letter))
	require.Empty(t, f.deleted)
	require.Len(t, f.wrote(), 1)
	require.Equal(t, 1, value[int](t, f, `SELECT count(*) FROM user_mappings`))
}

func TestDeletionIsNotMadeWhileVOMODoesNotAnswerForTheUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	letter := f.deletionLetter(t, "7")
	f.set(func() {
		f.vomo = func(path string) int {
			if path == "/7" {
				return http.StatusForbidden
			}
			return 0
		}
	})

	f.round(t, "acme", 0, "")

	require.Equal(t, "waiting", f.state(t, letter))
	require.Equal(t, 2, f.attempts(t, letter))
	require.Empty(t, f.deleted)
}

func TestDeletionThatIsRejectedAgainCountsAnAttempt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	rejected, accepted := f.deletionLetter(t, "7"), f.deletionLetter(t, "8")
	f.crmSays(http.StatusUnprocessableEntity, `{"code":"locked"}`, "crm-7")

	f.round(t, "acme", 0, "")

	require.Equal(t, "review", f.state(t, rejected))
	require.Equal(t, "retried", f.state(t, accepted))
	require.Equal(t, 2, f.attempts(t, rejected))
	require.Equal(t, []string{"crm-8"}, f.deleted)

	f.crmSays(http.StatusOK, `{}`)
	f.ask(t, rejected)
	f.round(t, "acme", 0, "")
	require.Equal(t, "retried", f.state(t, rejected), "an operator may ask for it again")
}
