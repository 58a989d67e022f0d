package report_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

func TestAListOfCustomersTellsHowEachStands(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.onboard(t, "acme")
	h.onboard(t, "globex")
	id := h.queue(t, "acme")
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		if err := event.Raise(ctx, tx, event.AlertFor("acme", event.AlertDestinationDown)); err != nil {
			return err
		}
		return tx.SaveMappings(ctx, "globex", []store.Mapping{{VomoID: "1", ExternalID: "a", Version: store.Version{UpdatedAt: noon, Hash: []byte("h")}}})
	})

	reply, err := report.Customers(t.Context(), h.Store, operatorapi.CustomersQuestion{})

	require.NoError(t, err)
	require.JSONEq(t, fmt.Sprintf(`{"asOf":"2026-03-02T09:30:00Z","customers":[
		{"customerId":"acme","enabled":true,"onboardedAt":"2026-03-02T09:30:00Z","offboardedAt":null,
		 "destination":{"kind":"rest","host":"127.0.0.1"},"pollCadenceMinutes":30,"backfillCompletedAt":null,
		 "backfill":{"id":%d,"state":"queued","parkReason":null,"processed":0,"total":null,"etaSeconds":null},
		 "usersMirrored":0,"openLetters":0,"alerts":["destination_down"],
		 "pausedAt":null,"lastPolledAt":null,"isHealthy":false},
		{"customerId":"globex","enabled":true,"onboardedAt":"2026-03-02T09:30:00Z","offboardedAt":null,
		 "destination":{"kind":"rest","host":"127.0.0.1"},"pollCadenceMinutes":30,"backfillCompletedAt":null,
		 "backfill":null,"usersMirrored":1,"openLetters":0,"alerts":[],
		 "pausedAt":null,"lastPolledAt":null,"isHealthy":null}],"next":null}`, id), document(t, reply))
}

func TestAListOfCustomersIsPagedBelowWhatAnAnswerMayHold(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	const customers = 120
	longest := strings.Repeat("x", 58)
	h.exec(t, `INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at)
		SELECT $1::text || lpad(i::text, 4, '0'), 'https://' || repeat('h', 200) || '.example/', '{"kind":"rest"}', now(), now()
		FROM generate_series(1, $2::int) i`, longest, customers)
	seen := map[string]bool{}
	question := operatorapi.CustomersQuestion{Limit: 1000}
	for {
		reply, err := report.Customers(t.Context(), h.Store, question)
		require.NoError(t, err)
		require.Less(t, len(document(t, reply)), 128<<10)
		for _, customer := range reply.Customers {
			require.False(t, seen[customer.CustomerID])
			seen[customer.CustomerID] = true
		}
		if reply.Next == nil {
			break
		}
		question.After = *reply.Next
	}
	require.Len(t, seen, customers)
}

func TestSettingsShowNoSecret(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.onboard(t, "acme")
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		return tx.SaveCredential(ctx, "acme", store.CredentialDestinationToken, []byte("sealed"))
	})
	shown, err := report.ConfigOf(t.Context(), h.Conn, "acme")
	require.NoError(t, err)
	require.JSONEq(t, `{"customerId":"acme","enabled":true,"pausedAt":null,"offboardedAt":null,"externalSystemUrl":"http://127.0.0.1/crm",
		"destinationKind":"rest","destinationBatchSize":null,"destinationParticipations":false,"hasDestinationToken":true,"pollCadenceMinutes":30,"adminEmail":null,
		"limits":{"requestsPerSecond":null,"requestsPerMinute":null},"backfillNotBefore":null,"quietHours":null,"participations":false,"writeBack":null,
		"virtuous":null}`,
		document(t, shown))
	h.exec(t, `UPDATE sync_configs SET write_back = '{"fields":["phone"],"create":true}'`)
	shown, err = report.ConfigOf(t.Context(), h.Conn, "acme")
	require.NoError(t, err)
	require.Contains(t, document(t, shown), `"writeBack":{"fields":["phone"],"create":true}`)
	h.exec(t, `UPDATE sync_configs SET paused_at = '2026-03-01T08:00:00Z', backfill_not_before = '2026-03-03T22:00:00Z',
		destination = destination || '{"batchSize":100}', quiet_hours = '{"from":"08:00","to":"18:00","zone":"UTC","weekdays":["mon"]}'`)
	shown, err = report.ConfigOf(t.Context(), h.Conn, "acme")
	require.NoError(t, err)
	require.Contains(t, document(t, shown), `"quietHours":{"from":"08:00","to":"18:00","zone":"UTC","weekdays":["mon"]}`)
	require.Equal(t, new(int32(100)), shown.BatchSize)
	require.Equal(t, "2026-03-01T08:00:00Z 2026-03-03T22:00:00Z", shown.PausedAt.UTC().Format(time.RFC3339)+" "+shown.BackfillNotBefore.UTC().Format(time.RFC3339))
	_, err = report.ConfigOf(t.Context(), h.Conn, "globex")
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestTheStatusSaysWhatIsPausedAndWhoIsStillToBeWritten(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.onboard(t, "acme")
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		if _, _, err := tx.StartRewrite(ctx, "acme", "full_resync", "00-trace-01", true); err != nil {
			return err
		}
		_, err := tx.PauseBackfill(ctx, "acme")
		return err
	})
	status, err := report.StatusOf(t.Context(), h.Store, "acme")
	require.NoError(t, err)
	require.Equal(t, "paused", status.Backfill.State)
	var codes []string
	for _, reason := range status.Health.Reasons {
		codes = append(codes, reason.Code)
		require.Contains(t, reason.Remedy, "rollcall backfill start")
	}
	require.Equal(t, []string{"paused", "rewrite_unfinished"}, codes)
}
