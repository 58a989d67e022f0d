package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

// operatorFixture runs operators' commands for the customer acme, whose destination has users.
type operatorFixture struct {
	*operators
	*intakeFixture
}

func newOperatorFixture(t *testing.T) *operatorFixture {
	t.Helper()
	d := newIntakeFixture(t)
	f := &operatorFixture{intakeFixture: d, operators: &operators{
		store: d.store, vault: d.vault, logger: zap.NewNop(), holder: "onboarding-1", leaseFor: time.Minute, patience: time.Minute,
	}}
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SaveCustomer(ctx, store.Customer{
			ID: "acme", ExternalSystemURL: "https://crm.example/v1", PollCadenceMinutes: 30,
			Destination: []byte(`{"kind":"rest","url":"https://crm.example/v1","more":[1]}`),
		})
		if err != nil {
			return err
		}
		return tx.SaveMappings(ctx, "acme", []store.Mapping{{VomoID: "1", ExternalID: "a", Version: store.Version{Hash: []byte("h")}}})
	})
	return f
}

func (f *operatorFixture) do(t *testing.T, work func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	require.NoError(t, f.store.InTx(t.Context(), work))
}

func (f *operatorFixture) requests(t *testing.T) int {
	t.Helper()
	return f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.backfill.request.acme'`)
}

func (f *operatorFixture) eventCount(t *testing.T, name string) int {
	t.Helper()
	return f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.`+name+`.acme'`)
}

func (f *operatorFixture) run(t *testing.T) store.Run {
	t.Helper()
	run, err := f.store.LatestBackfill(t.Context(), "acme")
	require.NoError(t, err)
	return run
}

var acme = operatorapi.BackfillCommand{CustomerID: "acme"}

func TestBackfillCommandAndItsEventAreOneTransaction(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	var conflict *service.ConflictError
	for _, verb := range []func(context.Context, operatorapi.BackfillCommand) (operatorapi.BackfillCommanded, error){f.pauseBackfill, f.cancelBackfill} {
		_, err := verb(t.Context(), acme)
		require.ErrorAs(t, err, &conflict, "there is no run to stop")
		_, err = verb(t.Context(), operatorapi.BackfillCommand{CustomerID: "globex"})
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		return event.Raise(ctx, tx, event.AlertFor("acme", event.AlertBackfillFailed))
	})
	started, err := f.startBackfill(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, operatorapi.BackfillStarted, started.Action)
	require.Equal(t, 1, f.requests(t))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM alerts WHERE cleared_at IS NOT NULL`))
	_, err = f.startBackfill(t.Context(), acme)
	require.ErrorAs(t, err, &conflict)
	require.Contains(t, conflict.Text, "queued")

	paused, err := f.pauseBackfill(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, "paused", paused.Backfill.State)
	require.Equal(t, 1, f.eventCount(t, "backfill.paused"))
	require.Equal(t, 1, f.requests(t))

	_, err = f.startBackfill(t.Context(), operatorapi.BackfillCommand{CustomerID: "acme", Rewrite: true})
	require.ErrorAs(t, err, &conflict, "a paused run is resumed unchanged")
	resumed, err := f.startBackfill(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, operatorapi.BackfillResumed, resumed.Action)
	require.Equal(t, started.Backfill.ID, resumed.Backfill.ID)
	require.Equal(t, 2, f.requests(t))

	_, err = f.pauseBackfill(t.Context(), acme)
	require.NoError(t, err)
	cancelled, err := f.cancelBackfill(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, operatorapi.BackfillCancelled, cancelled.Action)
	require.True(t, cancelled.NotBackfilled)
	require.Equal(t, 1, f.eventCount(t, "backfill.cancelled"))

	rewriting, err := f.startBackfill(t.Context(), operatorapi.BackfillCommand{CustomerID: "acme", Rewrite: true})
	require.NoError(t, err)
	require.True(t, rewriting.Backfill.Rewrite)
	ended, err := f.cancelBackfill(t.Context(), acme)
	require.NoError(t, err)
	require.True(t, ended.RewriteUnfinished)
}

func TestCustomerThatIsSwitchedOffIsNotBackfilled(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.OffboardCustomer(ctx, "acme")
		return err
	})
	var conflict *service.ConflictError
	_, err := f.startBackfill(t.Context(), acme)
	require.ErrorAs(t, err, &conflict)
	_, err = f.setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", PollCadenceMinutes: new(int32(5))})
	require.ErrorAs(t, err, &conflict)
}

func TestConfigChangeIsValidatedLikeOnboarding(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	_, err := f.setConfig(t.Context(), operatorapi.ConfigChange{
		CustomerID: "acme", PollCadenceMinutes: new(int32(0)), AdminEmail: new("no-address"), RequestsPerSecond: new(-1.0),
		RequestsPerMinute: new(1e12), ExternalSystemURL: new("http://10.0.0.1/"), DestinationChange: "sideways",
		Unset: []string{"vomoToken"}, DestinationTokenSealed: "x.y",
	})
	var fields *service.FieldsError
	require.ErrorAs(t, err, &fields)
	for _, field := range []string{
		"pollCadenceMinutes", "adminEmail", "limits.requestsPerSecond", "limits.requestsPerMinute", "externalSystemUrl",
		"destinationChange", "unset", "destinationTokenSealed",
	} {
		require.NotEmpty(t, fields.Errors[field], field)
	}
	_, err = f.setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", DestinationChange: operatorapi.DestinationMoved})
	require.ErrorAs(t, err, &fields)
	_, err = f.setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "globex"})
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Zero(t, f.eventCount(t, "config.changed"))
}

func TestConfigChangeKeepsOtherSettings(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	first, err := f.setConfig(t.Context(), operatorapi.ConfigChange{
		CustomerID: "acme", AdminEmail: new("it@acme.example"), RequestsPerSecond: new(2.5), RequestsPerMinute: new(0.0),
	})
	require.NoError(t, err)
	require.Len(t, first.Changes, 3)
	second, err := f.setConfig(t.Context(), operatorapi.ConfigChange{
		CustomerID: "acme", PollCadenceMinutes: new(int32(15)), Unset: []string{operatorapi.FieldRequestsPerSecond},
	})
	require.NoError(t, err)
	require.Equal(t, []string{"pollCadenceMinutes", "limits.requestsPerSecond"}, fieldsOf(second.Changes))
	require.Equal(t, operatorapi.Config{
		CustomerID: "acme", Enabled: true, ExternalSystemURL: "https://crm.example/v1", DestinationKind: "rest", PollCadenceMinutes: 15,
		AdminEmail: new("it@acme.example"), Limits: operatorapi.ConfigLimits{RequestsPerMinute: new(0.0)},
	}, second.Config)
	same, err := f.setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", PollCadenceMinutes: new(int32(15))})
	require.NoError(t, err)
	require.Empty(t, same.Changes)
	require.Equal(t, 2, f.eventCount(t, "config.changed"), "a change without effect publishes no event")
	require.Zero(t, f.count(t, `SELECT count(*) FROM outbox WHERE convert_from(payload, 'UTF8') LIKE '%@%'`), "an event has no values")
	for _, reads := range []bool{true, false} {
		changed, err := f.setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", Participations: &reads})
		require.NoError(t, err)
		require.Equal(t, []operatorapi.Change{{Field: "participations", From: !reads, To: reads}}, changed.Changes)
		require.Equal(t, reads, changed.Config.Participations)
	}
}

func TestConfigSaysWhetherTheDestinationHasFieldsForParticipations(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	f.exec(t, `UPDATE sync_configs SET destination = destination || '{"batchSize":20}'`)
	for _, has := range []bool{true, true, false} {
		changed, err := f.setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", DestinationParticipations: &has})
		require.NoError(t, err)
		require.Equal(t, has, changed.Config.HasParticipations)
		require.Equal(t, int32(20), *changed.Config.BatchSize)
		require.Equal(t, "https://crm.example/v1", changed.Config.ExternalSystemURL)
	}
	require.Equal(t, 2, f.eventCount(t, "config.changed"), "a change without effect publishes no event")
	moved, err := f.setConfig(t.Context(), operatorapi.ConfigChange{
		CustomerID: "acme", ExternalSystemURL: new("https://crm.example/v2"), DestinationChange: operatorapi.DestinationMoved, DestinationParticipations: new(true),
	})
	require.NoError(t, err)
	require.Equal(t, []string{"externalSystemUrl", "destination.participations"}, fieldsOf(moved.Changes))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_configs
		WHERE destination @> '{"kind":"rest","url":"https://crm.example/v2","batchSize":20,"participations":true}'`))
}

func TestNewDestinationURLRequiresDestinationChange(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	asked := operatorapi.ConfigChange{CustomerID: "acme", ExternalSystemURL: new("https://crm.example/v2")}
	_, err := f.setConfig(t.Context(), asked)
	var fields *service.FieldsError
	require.ErrorAs(t, err, &fields)
	require.Contains(t, fields.Errors["destinationChange"][0], "--new-system")
	require.Zero(t, f.count(t, `SELECT count(*) FROM sync_configs WHERE external_system_url LIKE '%v2'`))

	started, err := f.startBackfill(t.Context(), acme)
	require.NoError(t, err)
	f.parkFor(t, event.AlertDestinationDown)
	asked.DestinationChange = operatorapi.DestinationMoved
	moved, err := f.setConfig(t.Context(), asked)
	require.NoError(t, err)
	require.Equal(t, started.Backfill.ID, moved.Backfill.ID, "the parked run is woken")
	require.Equal(t, "queued", moved.Backfill.State)
	require.Equal(t, 2, f.requests(t))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM sync_configs WHERE destination = '{"kind":"rest","url":"https://crm.example/v2","more":[1]}'`))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM alerts WHERE type = 'destination_down' AND cleared_at IS NOT NULL`))
	require.Nil(t, f.run(t).Rewrite)

	asked.ExternalSystemURL, asked.DestinationChange = new("https://other.example"), operatorapi.DestinationNewSystem
	f.parkFor(t, event.AlertDestinationDown)
	replaced, err := f.setConfig(t.Context(), asked)
	require.NoError(t, err)
	require.Greater(t, replaced.Backfill.ID, started.Backfill.ID)
	require.True(t, replaced.Backfill.Rewrite)
	require.True(t, f.run(t).Rewrite.NewSystem)
	require.Equal(t, 1, f.eventCount(t, "backfill.cancelled"))
	require.Equal(t, 3, f.requests(t))
	require.Zero(t, f.count(t, `SELECT count(*) FROM customer_leases WHERE expires_at > now()`), "the lane is free again")

	_, err = f.pauseBackfill(t.Context(), acme)
	require.NoError(t, err)
	asked.ExternalSystemURL = new("https://third.example")
	third, err := f.setConfig(t.Context(), asked)
	require.NoError(t, err)
	require.Equal(t, "paused", third.Backfill.State, "a run paused by an operator is not woken")
	require.Equal(t, 3, f.requests(t))
}

func TestDestinationIsNotChangedWhileJobHoldsLane(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	_, err := f.store.TakeLease(t.Context(), "acme", "worker-1", time.Minute)
	require.NoError(t, err)
	f.patience = time.Millisecond
	_, err = f.setConfig(t.Context(), operatorapi.ConfigChange{
		CustomerID: "acme", ExternalSystemURL: new("https://crm.example/v2"), DestinationChange: operatorapi.DestinationMoved,
	})
	var busy *service.BusyError
	require.ErrorAs(t, err, &busy)
	require.Zero(t, f.count(t, `SELECT count(*) FROM sync_configs WHERE external_system_url LIKE '%v2'`))
	changed, err := f.setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", PollCadenceMinutes: new(int32(5))})
	require.NoError(t, err, "other settings do not need the lane")
	require.Len(t, changed.Changes, 1)
}

func TestTokenOfOldDestinationIsNotSentToNewOne(t *testing.T) {
	t.Parallel()
	f := newOperatorFixture(t)
	public, err := f.vault.PublicXKey(t.Context())
	require.NoError(t, err)
	sealed, err := vault.SealToken(public, "crm-token")
	require.NoError(t, err)
	given, err := f.setConfig(t.Context(), operatorapi.ConfigChange{CustomerID: "acme", DestinationTokenSealed: sealed})
	require.NoError(t, err)
	require.Equal(t, []operatorapi.Change{{Field: "destination.token"}}, given.Changes)
	require.True(t, given.Config.HasDestinationAuth)
	stored, err := f.store.Credential(t.Context(), "acme", store.CredentialDestinationToken)
	require.NoError(t, err)
	plain, err := f.vault.Open(t.Context(), "acme", store.CredentialDestinationToken, stored)
	require.NoError(t, err)
	require.Equal(t, "crm-token", string(plain))

	moved := operatorapi.ConfigChange{CustomerID: "acme", ExternalSystemURL: new("https://crm.example/v2"), DestinationChange: operatorapi.DestinationMoved}
	kept, err := f.setConfig(t.Context(), moved)
	require.NoError(t, err)
	require.True(t, kept.Config.HasDestinationAuth)
	moved.ExternalSystemURL, moved.DestinationChange = new("https://other.example"), operatorapi.DestinationNewSystem
	forgotten, err := f.setConfig(t.Context(), moved)
	require.NoError(t, err)
	require.False(t, forgotten.Config.HasDestinationAuth)
}

// parkFor parks the open run, as a worker does.
func (f *operatorFixture) parkFor(t *testing.T, reason string) {
	t.Helper()
	lease, err := f.store.TakeLease(t.Context(), "acme", "worker-1", time.Minute)
	require.NoError(t, err)
	f.do(t, func(ctx context.Context, tx *store.Tx) error {
		run, err := tx.ClaimRun(ctx, "acme", store.KindBackfill, lease.Epoch)
		if err != nil {
			return err
		}
		if err := event.Raise(ctx, tx, event.AlertFor("acme", reason)); err != nil {
			return err
		}
		return tx.ParkRun(ctx, run.ID, lease.Epoch, reason, "", time.Hour)
	})
	require.NoError(t, lease.Release(t.Context()))
}
