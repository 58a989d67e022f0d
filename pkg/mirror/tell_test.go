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

// told is what a page owes the bus: subjects, and payloads without their times.
func (h *house) told(t *testing.T) []map[string]any {
	t.Helper()
	rows, err := h.pool.Query(t.Context(), `DELETE FROM outbox RETURNING subject, payload`)
	require.NoError(t, err)
	type message struct {
		Subject string
		Payload []byte
	}
	messages, err := pgx.CollectRows(rows, pgx.RowToStructByPos[message])
	require.NoError(t, err)
	told := make([]map[string]any, 0, len(messages))
	for _, message := range messages {
		body := map[string]any{"subject": message.Subject}
		require.NoError(t, json.Unmarshal(message.Payload, &body))
		for _, name := range []string{"at", "raisedAt", "text", "remedy", "traceId", "customerId"} {
			delete(body, name)
		}
		told = append(told, body)
	}
	return told
}

// steady is a house in which a poll works.
func steady(t *testing.T) *house {
	t.Helper()
	h := newHouse(t)
	h.Job, h.Operation, h.Events = "user_sync_poll", "", true
	return h
}

func emailed(address string) func(*vomo.User) { return func(u *vomo.User) { u.Email = &address } }

func noEmail(u *vomo.User) { u.Email = nil }

func TestWhetherAUserIsNewIsTheMappingsWordAndNotThatOfTimes(t *testing.T) {
	t.Parallel()
	h := steady(t)
	old := user("1", func(u *vomo.User) { u.CreatedAt = noon.AddDate(-3, 0, 0) })

	h.applied(t, old)
	require.Equal(t, []map[string]any{{
		"subject": "rollcall.events.user.created.acme", "vomoUserId": "1", "externalUserId": "crm-1", "sourceUpdatedAt": "2026-03-01T12:00:00Z",
		"job": "user_sync_poll",
	}}, h.told(t))

	h.applied(t, user("1", func(u *vomo.User) { u.CreatedAt = old.CreatedAt }, named("Another"), after(time.Second)))
	require.Equal(t, []map[string]any{{
		"subject": "rollcall.events.user.updated.acme", "vomoUserId": "1", "externalUserId": "crm-1", "sourceUpdatedAt": "2026-03-01T12:00:01Z",
		"job": "user_sync_poll", "changedFields": []any{"first_name"},
	}}, h.told(t))
	require.Equal(t, []string{"create", "update"}, values[string](t, h, `SELECT operation FROM sync_audit ORDER BY id`))

	h.applied(t, user("1", func(u *vomo.User) { u.CreatedAt = old.CreatedAt }, named("Another"), after(time.Second)))
	require.Empty(t, h.told(t), "what is known is told once")
}

func TestAFirstBackfillTellsOfNobody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)

	h.applied(t, users(3)...)

	require.Empty(t, h.told(t))
}

func TestAVersionThatIsWrittenAgainIsNoNews(t *testing.T) {
	t.Parallel()
	h := steady(t)
	h.applied(t, user("1"))
	h.told(t)

	outcome, err := h.apply(t, page(1, user("1")), mirror.ApplyOptions{RewriteBefore: time.Now().Add(time.Hour)})

	require.NoError(t, err)
	require.Equal(t, 1, outcome.Written)
	require.Empty(t, outcome.Unsynced)
	require.Empty(t, h.told(t))
}

func TestAnAddressThatChangedIsToldOnceAndNeverForItsCaseOrSpaces(t *testing.T) {
	t.Parallel()
	h := newHouse(t) // also by jobs that tell no events
	h.applied(t, user("1", emailed("Ana@Example.org")), user("2", noEmail))
	alert := func(id string) map[string]any {
		return map[string]any{"subject": "rollcall.alerts.medium.email_changed.acme", "type": "email_changed", "severity": "medium", "vomoUserId": id}
	}
	require.Empty(t, h.told(t), "a first address is no change")

	h.applied(t, user("1", emailed(" ana@EXAMPLE.org "), after(time.Second)))
	require.Empty(t, h.told(t), "trap 1: letter case and spaces")

	h.applied(t, user("1", emailed("ruiz@example.org"), after(2*time.Second)))
	require.Equal(t, []map[string]any{alert("1")}, h.told(t))
	h.applied(t, user("1", emailed("ruiz@example.org"), after(2*time.Second)))
	require.Empty(t, h.told(t), "read again")

	h.applied(t, user("2", emailed("b@example.org"), after(time.Second)))
	require.Equal(t, []map[string]any{alert("2")}, h.told(t), "from none to one")
	h.applied(t, user("1", noEmail, after(3*time.Second)))
	require.Equal(t, []map[string]any{alert("1")}, h.told(t), "from one to none")

	require.Equal(t, []string{
		`acme medium {"traceId": "00-trace-01", "vomoUserId": "1"}`, `acme medium {"traceId": "00-trace-01", "vomoUserId": "2"}`,
		`acme medium {"traceId": "00-trace-01", "vomoUserId": "1"}`,
	}, values[string](t, h, `SELECT concat_ws(' ', customer_id, severity, details) FROM alerts
		WHERE type = 'email_changed' AND raised_at = cleared_at ORDER BY id`), "each is kept, without an address, and is over at once")
}

func TestAPageThatIsNotCommittedKeepsNoAlert(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.applied(t, user("1"))
	require.NoError(t, h.Store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error { return tx.FenceLane(ctx, customer) }))

	_, err := h.apply(t, page(1, user("1", emailed("ruiz@example.org"), after(time.Second))), mirror.ApplyOptions{})

	require.ErrorIs(t, err, store.ErrLaneLost)
	require.Equal(t, []int{0}, values[int](t, h, `SELECT count(*) FROM alerts`))
}

func TestAnAddressWhoseWriteIsRefusedIsToldWhenItArrives(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.applied(t, user("1"))
	h.crm.says(unprocessable, "", "1")
	h.applied(t, user("1", emailed("new@example.org"), after(time.Second)))
	require.Empty(t, h.told(t))
	h.crm.works()

	h.redriven(t, user("1", emailed("new@example.org"), after(time.Second)))

	require.Len(t, h.told(t), 1)
}

func TestNobodysDataIsToldUnlessItWasAskedFor(t *testing.T) {
	t.Parallel()
	h := steady(t)
	h.applied(t, user("1"))
	encoded, err := json.Marshal(h.told(t))
	require.NoError(t, err)
	for _, secret := range []string{"First-1", "Last", "u1@example.org", "7946"} {
		require.NotContains(t, string(encoded), secret)
	}

	h.IncludeUser = true
	h.applied(t, user("1", named("Another"), after(time.Second)))
	told := h.told(t)
	require.Len(t, told, 1)
	record, isRecord := told[0]["user"].(map[string]any)
	require.True(t, isRecord)
	require.Equal(t, "Another", record["first_name"])
	require.Equal(t, "vomo-1", record["external_id"])
}

func TestUnsyncedAreThoseWhomTheMappingDidNotHaveInThisVersion(t *testing.T) {
	t.Parallel()
	h := steady(t)
	h.applied(t, user("1"), user("2"), user("3"))
	h.crm.says(unprocessable, "", "4")

	outcome := h.applied(t, user("1"), user("2", after(time.Second)), user("3", named("In the same second")), user("4"))

	require.ElementsMatch(t, []mirror.Unsynced{
		{VomoID: "2", Mapped: true, UpdatedAt: noon.Add(time.Second)}, {VomoID: "3", Mapped: true, UpdatedAt: noon}, {VomoID: "4", UpdatedAt: noon},
	}, outcome.Unsynced, "also who was refused")
}
