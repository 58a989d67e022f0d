package report_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
)

func TestAFreshCustomersStatusNamesEverythingAndSaysWhatIsNotKnown(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.onboard(t, "acme")
	h.queue(t, "acme")

	status, err := report.StatusOf(t.Context(), h.Store, "acme")

	require.NoError(t, err)
	require.JSONEq(t, `{"customerId":"acme","asOf":"2026-03-02T09:30:00Z",`+
		`"integration":{"enabled":true,"onboardedAt":"2026-03-02T09:30:00Z","backfillCompletedAt":null,`+
		`"pausedAt":null,"disabledReason":null,"offboardedAt":null,"purgeAt":null},`+
		`"backfill":{"state":"queued","waitingFor":null,"until":null,"processed":0,"total":null,"etaSeconds":null,"requestsPerMinute":null},`+
		`"polling":{"lastRunAt":null,"lastRunOutcome":null,"checkpointTimestamp":null,"lagMinutes":null,"caughtUpAt":null,`+
		`"nextRunAt":null,"lastRun":null,"openRun":null},`+
		`"reconciliation":{"lastRunAt":null,"lastDate":null,"expected":null,"gaps":null,"failures":null,"nextRunAt":null,"lastRun":null,"openRun":null},`+
		`"writeBack":{"fields":[],"waiting":0,"waitingSince":null,"openReviews":0},`+
		`"health":{"dlqDepth":0,"averageReconciliationGapRate":null,"isHealthy":null,"reasons":[]},`+
		`"budget":{"today":{},"total":{},"perMinute":null},`+
		`"inventory":{"totalUsersMirrored":0},`+
		`"participations":{"enabled":false,"covered":0,"total":0,"cycleHours":null},`+
		`"giving":{"enabled":false,"disabledReason":null,"onboardedAt":null,"organizationName":null,"pending":0,"pendingSince":null,"submitted":0,`+
		`"submittedSince":null,"needsReview":0,"failed":0,"conflict":0,"lastWebhookAt":null,"lastReconciledAt":null,
		"contacts":{"pending":0,"pendingSince":null,"submitted":0,"needsReview":0,"failed":0}}}`, document(t, status))
}

func TestStatusOfAnOffboardedCustomerSaysWhenItsMappingIsPurged(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.onboard(t, "acme")
	h.exec(t, `UPDATE sync_configs SET enabled = false, offboarded_at = rollcall_now()`)
	status, err := report.StatusOf(t.Context(), h.Store, "acme")
	require.NoError(t, err)
	require.Nil(t, status.Integration.PurgeAt, "its offboarding has no steps yet")

	purge := time.Date(2026, time.April, 1, 9, 30, 0, 0, time.UTC)
	h.exec(t, `INSERT INTO offboardings (customer_id, step, begun_at, purge_at) VALUES ('acme', 'retain', rollcall_now(), $1)`, purge)
	status, err = report.StatusOf(t.Context(), h.Store, "acme")
	require.NoError(t, err)
	require.True(t, purge.Equal(*status.Integration.PurgeAt))
}

func TestABackfillThatVomosCountsDoNotConfirmIsSaidToBeSo(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.onboard(t, "acme")
	run := h.queue(t, "acme")
	for verified, reasons := range map[bool]int{true: 0, false: 1} {
		h.exec(t, `UPDATE backfill_runs SET state = 'completed', verified = $2 WHERE id = $1`, run, verified)
		status, err := report.StatusOf(t.Context(), h.Store, "acme")
		require.NoError(t, err)
		require.Len(t, status.Health.Reasons, reasons)
		for _, reason := range status.Health.Reasons {
			require.Equal(t, "backfill_unverified", reason.Code)
			require.NotEmpty(t, reason.Remedy)
		}
	}
}

func TestAWorkingCustomersStatusHasNumbersAsNumbers(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.onboard(t, "acme")
	run := h.queue(t, "acme")
	h.exec(t, `UPDATE backfill_runs SET state = 'running', pages = 20, processed = 300, last_total = 1000, active_seconds = 12.5 WHERE id = $1`, run)
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.AdvanceCheckpoint(ctx, "acme", store.ResourceUserSync, noon); err != nil {
			return err
		}
		version := store.Version{UpdatedAt: noon, Hash: []byte("h")}
		if err := tx.SaveMappings(ctx, "acme", []store.Mapping{
			{VomoID: "1", ExternalID: "a", Version: version}, {VomoID: "2", ExternalID: "b", Version: version},
		}); err != nil {
			return err
		}
		scope := store.LetterScope{Customer: "acme", Kind: "user", Job: "initial_backfill", FirstDelay: 5 * time.Second}
		return tx.AddRecordLetters(ctx, scope, []store.RecordLetter{{
			ID: uuid.New(), RecordID: "3", Version: version, Subject: "s", ErrorCode: "http_422", ErrorClass: "permanent",
		}})
	})

	status, err := report.StatusOf(t.Context(), h.Store, "acme")

	require.NoError(t, err)
	var whole map[string]any
	require.NoError(t, json.Unmarshal([]byte(document(t, status)), &whole))
	shown := map[string]map[string]any{}
	for _, name := range []string{"backfill", "health", "inventory", "polling"} {
		group, is := whole[name].(map[string]any)
		require.True(t, is, name)
		shown[name] = group
	}
	require.Equal(t, map[string]any{
		"state": "running", "waitingFor": nil, "until": nil, "processed": 300.0, "total": 1000.0, "etaSeconds": 32.0, "requestsPerMinute": 96.0,
	}, shown["backfill"])
	require.InDelta(t, 1, shown["health"]["dlqDepth"], 0)
	require.InDelta(t, 2, shown["inventory"]["totalUsersMirrored"], 0)
	require.Equal(t, "2026-03-01T12:00:00Z", shown["polling"]["checkpointTimestamp"])
	require.InDelta(t, 21*60+30, shown["polling"]["lagMinutes"], 0)
}

func TestACompletedBackfillIsShownWithItsDate(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.onboard(t, "acme")
	run := h.queue(t, "acme")
	h.exec(t, `UPDATE backfill_runs SET state = 'completed', pages = 67, processed = 1000, last_total = 1000, active_seconds = 40.2 WHERE id = $1`, run)
	h.in(t, func(ctx context.Context, tx *store.Tx) error { return tx.MarkBackfilled(ctx, "acme", 1000) })

	status, err := report.StatusOf(t.Context(), h.Store, "acme")

	require.NoError(t, err)
	require.Equal(t, "2026-03-02T09:30:00Z", status.Integration.BackfillCompletedAt.UTC().Format(time.RFC3339))
	require.Equal(t, &report.BackfillStatus{
		State: "completed", Processed: 1000, Total: new(int64(1000)), EtaSeconds: new(int64(0)), RequestsPerMinute: new(100.0),
	}, status.Backfill)
}

func TestWhatIsWrongIsSaidWithARemedy(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.onboard(t, "acme")
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		for _, kind := range []string{event.AlertDestinationDown, event.AlertBackfillFailed} {
			if err := event.Raise(ctx, tx, event.AlertFor("acme", kind)); err != nil {
				return err
			}
		}
		if err := event.Clear(ctx, tx, "acme", event.AlertBackfillFailed, "It works again."); err != nil {
			return err
		}
		_, err := tx.OffboardCustomer(ctx, "acme")
		return err
	})

	status, err := report.StatusOf(t.Context(), h.Store, "acme")

	require.NoError(t, err)
	require.False(t, status.Integration.Enabled)
	require.Len(t, status.Health.Reasons, 2, "what cleared is over")
	require.Equal(t, event.ConditionOffboarded, status.Health.Reasons[0].Code)
	text, remedy := event.Explain(event.AlertDestinationDown)
	require.NotNil(t, status.Health.Reasons[1].Since)
	status.Health.Reasons[1].Since = nil
	require.Equal(t, report.Reason{Code: event.AlertDestinationDown, Text: text, Remedy: remedy, Unhealthy: true}, status.Health.Reasons[1])
}

func TestCustomersStatusDoesNotDependOnOtherCustomers(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.onboard(t, "acme")
	h.onboard(t, "other")
	h.queue(t, "other")
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		if err := event.Raise(ctx, tx, event.AlertFor("other", event.AlertDestinationDown)); err != nil {
			return err
		}
		return tx.SaveMappings(ctx, "other", []store.Mapping{{VomoID: "1", ExternalID: "a", Version: store.Version{UpdatedAt: noon, Hash: []byte("h")}}})
	})

	status, err := report.StatusOf(t.Context(), h.Store, "acme")

	require.NoError(t, err)
	require.Nil(t, status.Backfill)
	require.Empty(t, status.Health.Reasons)
	require.Zero(t, status.Inventory.TotalUsersMirrored)
}

func TestAnUnknownCustomerIsNotFound(t *testing.T) {
	t.Parallel()
	h := newFixture(t)

	_, err := report.StatusOf(t.Context(), h.Store, "unknown")
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = report.Backfills(t.Context(), h.Store, operatorapi.BackfillsQuestion{CustomerID: "unknown"})
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = report.RequestOf(t.Context(), h.Store, store.Origin{StreamCreated: noon, Sequence: 1})
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestWhatBecameOfARequestIsShown(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	rejected, pending := store.Origin{StreamCreated: noon, Sequence: 1}, store.Origin{StreamCreated: noon, Sequence: 2}
	h.in(t, func(ctx context.Context, tx *store.Tx) error {
		if _, err := tx.AddRejectedRequest(ctx, rejected, "acme", []byte(`{"vomoToken":["Token rejected by VOMO API"]}`)); err != nil {
			return err
		}
		_, _, err := tx.AddPendingRequest(ctx, pending, "acme", store.Sides{Mirror: true}, []byte(`{}`), []byte("sealed"))
		return err
	})

	shown, err := report.RequestOf(t.Context(), h.Store, rejected)
	require.NoError(t, err)
	require.JSONEq(t, `{"customerId":"acme","state":"rejected","errors":{"vomoToken":["Token rejected by VOMO API"]},"attempts":0,
		"receivedAt":"2026-03-02T09:30:00Z","settledAt":"2026-03-02T09:30:00Z"}`, document(t, shown))

	shown, err = report.RequestOf(t.Context(), h.Store, pending)
	require.NoError(t, err)
	require.JSONEq(t, `{"customerId":"acme","state":"pending","errors":null,"attempts":0,`+
		`"receivedAt":"2026-03-02T09:30:00Z","settledAt":null}`, document(t, shown))
}

func TestAParkedBackfillsStatusSaysWhatItWaitsForAndUntilWhen(t *testing.T) {
	t.Parallel()
	h := newFixture(t)
	h.onboard(t, "acme")
	h.queue(t, "acme")
	until := noon.AddDate(0, 0, 7)
	_, err := h.PutOffRun(t.Context(), "acme", store.KindBackfill, "quiet_hours", until)
	require.NoError(t, err)

	status, err := report.StatusOf(t.Context(), h.Store, "acme")

	require.NoError(t, err)
	require.Equal(t, "parked", status.Backfill.State)
	require.Equal(t, new("quiet_hours"), status.Backfill.WaitingFor)
	require.True(t, until.Equal(*status.Backfill.Until))
	require.Len(t, status.Health.Reasons, 1)
	require.Equal(t, "quiet_hours", status.Health.Reasons[0].Code)
	require.False(t, status.Health.Reasons[0].Unhealthy, "a wait that was asked for is nothing wrong")
	require.NotNil(t, status.Health.Reasons[0].Since)
	require.True(t, until.Equal(*status.Health.Reasons[0].Until))
	require.Nil(t, status.Health.IsHealthy)
}
