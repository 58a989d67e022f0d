package mirror_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// published returns and deletes the outbox: subjects, and payloads without the fields that these tests do not compare.
func (f *fixture) published(t *testing.T) []map[string]any {
	t.Helper()
	rows, err := f.pool.Query(t.Context(), `DELETE FROM outbox RETURNING subject, payload`)
	require.NoError(t, err)
	type row struct {
		Subject string
		Payload []byte
	}
	stored, err := pgx.CollectRows(rows, pgx.RowToStructByPos[row])
	require.NoError(t, err)
	messages := make([]map[string]any, 0, len(stored))
	for _, message := range stored {
		body := map[string]any{"subject": message.Subject}
		require.NoError(t, json.Unmarshal(message.Payload, &body))
		for _, name := range []string{"at", "raisedAt", "text", "remedy", "traceId", "customerId"} {
			delete(body, name)
		}
		messages = append(messages, body)
	}
	return messages
}

// newPollFixture returns a fixture with a poll's lane.
func newPollFixture(t *testing.T) *fixture {
	t.Helper()
	f := newFixture(t)
	f.Job, f.Operation, f.Events = "user_sync_poll", "", true
	return f
}

func withEmail(address string) func(*vomo.User) { return func(u *vomo.User) { u.Email = &address } }

func withoutEmail(u *vomo.User) { u.Email = nil }

func TestUserWithoutAMappingIsCreatedWhateverItsTimes(t *testing.T) {
	t.Parallel()
	f := newPollFixture(t)
	old := user("1", func(u *vomo.User) { u.CreatedAt = noon.AddDate(-3, 0, 0) })

	f.mustApply(t, old)
	require.Equal(t, []map[string]any{{
		"subject": "rollcall.events.user.created.acme", "vomoUserId": "1", "externalUserId": "crm-1", "sourceUpdatedAt": "2026-03-01T12:00:00Z",
		"job": "user_sync_poll",
	}}, f.published(t))

	f.mustApply(t, user("1", func(u *vomo.User) { u.CreatedAt = old.CreatedAt }, withFirstName("Another"), updatedAfter(time.Second)))
	require.Equal(t, []map[string]any{{
		"subject": "rollcall.events.user.updated.acme", "vomoUserId": "1", "externalUserId": "crm-1", "sourceUpdatedAt": "2026-03-01T12:00:01Z",
		"job": "user_sync_poll", "changedFields": []any{"first_name"},
	}}, f.published(t))
	require.Equal(t, []string{"create", "update"}, queryColumn[string](t, f, `SELECT operation FROM sync_audit ORDER BY id`))

	f.mustApply(t, user("1", func(u *vomo.User) { u.CreatedAt = old.CreatedAt }, withFirstName("Another"), updatedAfter(time.Second)))
	require.Empty(t, f.published(t), "an unchanged user is not published again")
}

func TestFirstBackfillPublishesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)

	f.mustApply(t, users(3)...)

	require.Empty(t, f.published(t))
}

func TestRewrittenVersionPublishesNothing(t *testing.T) {
	t.Parallel()
	f := newPollFixture(t)
	f.mustApply(t, user("1"))
	f.published(t)

	outcome, err := f.apply(t, page(1, user("1")), mirror.ApplyOptions{RewriteBefore: time.Now().Add(time.Hour)})

	require.NoError(t, err)
	require.Equal(t, 1, outcome.Written)
	require.Empty(t, outcome.Unsynced)
	require.Empty(t, f.published(t))
}

func TestChangedAddressIsPublishedOnceAndNotForLetterCaseOrSpaces(t *testing.T) {
	t.Parallel()
	f := newFixture(t) // this job publishes no events
	f.mustApply(t, user("1", withEmail("Ana@Example.org")), user("2", withoutEmail))
	alert := func(id string) map[string]any {
		return map[string]any{"subject": "rollcall.alerts.medium.email_changed.acme", "type": "email_changed", "severity": "medium", "vomoUserId": id}
	}
	require.Empty(t, f.published(t), "the first address is no change")

	f.mustApply(t, user("1", withEmail(" ana@EXAMPLE.org "), updatedAfter(time.Second)))
	require.Empty(t, f.published(t), "letter case and spaces are no change")

	f.mustApply(t, user("1", withEmail("ruiz@example.org"), updatedAfter(2*time.Second)))
	require.Equal(t, []map[string]any{alert("1")}, f.published(t))
	f.mustApply(t, user("1", withEmail("ruiz@example.org"), updatedAfter(2*time.Second)))
	require.Empty(t, f.published(t), "the page was read again")

	f.mustApply(t, user("2", withEmail("b@example.org"), updatedAfter(time.Second)))
	require.Equal(t, []map[string]any{alert("2")}, f.published(t), "an address was added")
	f.mustApply(t, user("1", withoutEmail, updatedAfter(3*time.Second)))
	require.Equal(t, []map[string]any{alert("1")}, f.published(t), "the address was removed")

	require.Equal(t, []string{
		`acme medium {"traceId": "00-trace-01", "vomoUserId": "1"}`, `acme medium {"traceId": "00-trace-01", "vomoUserId": "2"}`,
		`acme medium {"traceId": "00-trace-01", "vomoUserId": "1"}`,
	}, queryColumn[string](t, f, `SELECT concat_ws(' ', customer_id, severity, details) FROM alerts
		WHERE type = 'email_changed' AND raised_at = cleared_at ORDER BY id`), "each alert is stored without an address and is cleared at once")
}

func TestPageThatIsNotCommittedStoresNoAlert(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.mustApply(t, user("1"))
	require.NoError(t, f.Store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.FenceLane(ctx, customer) }))

	_, err := f.apply(t, page(1, user("1", withEmail("ruiz@example.org"), updatedAfter(time.Second))), mirror.ApplyOptions{})

	require.ErrorIs(t, err, store.ErrLaneLost)
	require.Equal(t, []int{0}, queryColumn[int](t, f, `SELECT count(*) FROM alerts`))
}

func TestRejectedAddressIsPublishedOnceItIsAccepted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.mustApply(t, user("1"))
	f.crm.respond(unprocessable, "", "1")
	f.mustApply(t, user("1", withEmail("new@example.org"), updatedAfter(time.Second)))
	require.Empty(t, f.published(t))
	f.crm.acceptAll()

	f.mustRedrive(t, user("1", withEmail("new@example.org"), updatedAfter(time.Second)))

	require.Len(t, f.published(t), 1)
}

func TestEventsHoldPersonalDataOnlyIfIncludeUserIsSet(t *testing.T) {
	t.Parallel()
	f := newPollFixture(t)
	f.mustApply(t, user("1"))
	encoded, err := json.Marshal(f.published(t))
	require.NoError(t, err)
	for _, secret := range []string{"First-1", "Last", "u1@example.org", "7946"} {
		require.NotContains(t, string(encoded), secret)
	}

	f.IncludeUser = true
	f.mustApply(t, user("1", withFirstName("Another"), updatedAfter(time.Second)))
	messages := f.published(t)
	require.Len(t, messages, 1)
	record, isRecord := messages[0]["user"].(map[string]any)
	require.True(t, isRecord)
	require.Equal(t, "Another", record["first_name"])
	require.Equal(t, "vomo-1", record["external_id"])
}

func TestUnsyncedAreUsersWhoseMappingDidNotHaveThisVersion(t *testing.T) {
	t.Parallel()
	f := newPollFixture(t)
	f.mustApply(t, user("1"), user("2"), user("3"))
	f.crm.respond(unprocessable, "", "4")

	outcome := f.mustApply(t, user("1"), user("2", updatedAfter(time.Second)), user("3", withFirstName("In the same second")), user("4"))

	require.ElementsMatch(t, []mirror.Unsynced{
		{VomoID: "2", Mapped: true, UpdatedAt: noon.Add(time.Second)}, {VomoID: "3", Mapped: true, UpdatedAt: noon}, {VomoID: "4", UpdatedAt: noon},
	}, outcome.Unsynced, "rejected users are included")
}
