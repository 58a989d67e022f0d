package main

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

// office is where operators' commands are done, for a customer acme in whose destination users stand.
type office struct {
	*operators
	desk *desk
}

func newOffice(t *testing.T) *office {
	t.Helper()
	d := newDesk(t)
	o := &office{desk: d, operators: &operators{
		store: d.store, vault: d.vault, logger: zap.NewNop(), holder: "onboarding-1", leaseFor: time.Minute, patience: time.Minute,
	}}
	o.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.SaveCustomer(ctx, store.Customer{
			ID: "acme", ExternalSystemURL: "https://crm.example/v1", PollCadenceMinutes: 30,
			Destination: []byte(`{"kind":"rest","url":"https://crm.example/v1","more":[1]}`),
		})
		if err != nil {
			return err
		}
		return tx.SaveMappings(ctx, "acme", []store.Mapping{{VomoID: "1", ExternalID: "a", Version: store.Version{Hash: []byte("h")}}})
	})
	return o
}

func (o *office) do(t *testing.T, work func(ctx context.Context, tx *store.Tx) error) {
	t.Helper()
	require.NoError(t, o.store.InTx(t.Context(), work))
}

func (o *office) requests(t *testing.T) int {
	t.Helper()
	return o.desk.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.backfill.request.acme'`)
}

func (o *office) eventCount(t *testing.T, name string) int {
	t.Helper()
	return o.desk.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.`+name+`.acme'`)
}

func (o *office) run(t *testing.T) store.Run {
	t.Helper()
	run, err := o.store.LatestRun(t.Context(), "acme")
	require.NoError(t, err)
	return run
}

var acme = report.BackfillCommand{CustomerID: "acme"}

func TestACommandOnABackfillIsOneTransactionWithWhatItTells(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	var conflict *service.ConflictError
	for _, verb := range []func(context.Context, report.BackfillCommand) (report.BackfillCommanded, error){o.pauseBackfill, o.cancelBackfill} {
		_, err := verb(t.Context(), acme)
		require.ErrorAs(t, err, &conflict, "there is nothing to stop")
		_, err = verb(t.Context(), report.BackfillCommand{CustomerID: "globex"})
		require.ErrorIs(t, err, store.ErrNotFound)
	}
	o.do(t, func(ctx context.Context, tx *store.Tx) error {
		return event.Raise(ctx, tx, event.AlertFor("acme", event.AlertBackfillFailed))
	})
	started, err := o.startBackfill(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, report.BackfillStarted, started.Action)
	require.Equal(t, 1, o.requests(t))
	require.Equal(t, 1, o.desk.count(t, `SELECT count(*) FROM alerts WHERE cleared_at IS NOT NULL`))
	_, err = o.startBackfill(t.Context(), acme)
	require.ErrorAs(t, err, &conflict)
	require.Contains(t, conflict.Text, "queued")

	paused, err := o.pauseBackfill(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, "paused", paused.Backfill.State)
	require.Equal(t, 1, o.eventCount(t, "backfill.paused"))
	require.Equal(t, 1, o.requests(t))

	_, err = o.startBackfill(t.Context(), report.BackfillCommand{CustomerID: "acme", Rewrite: true})
	require.ErrorAs(t, err, &conflict, "a paused run is resumed as it is")
	resumed, err := o.startBackfill(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, report.BackfillResumed, resumed.Action)
	require.Equal(t, started.Backfill.ID, resumed.Backfill.ID)
	require.Equal(t, 2, o.requests(t))

	_, err = o.pauseBackfill(t.Context(), acme)
	require.NoError(t, err)
	cancelled, err := o.cancelBackfill(t.Context(), acme)
	require.NoError(t, err)
	require.Equal(t, report.BackfillCancelled, cancelled.Action)
	require.True(t, cancelled.NotBackfilled)
	require.Equal(t, 1, o.eventCount(t, "backfill.cancelled"))

	rewriting, err := o.startBackfill(t.Context(), report.BackfillCommand{CustomerID: "acme", Rewrite: true})
	require.NoError(t, err)
	require.True(t, rewriting.Backfill.Rewrite)
	ended, err := o.cancelBackfill(t.Context(), acme)
	require.NoError(t, err)
	require.True(t, ended.RewriteUnfinished)
}

func TestCustomerThatIsSwitchedOffIsNotBackfilled(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.do(t, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.OffboardCustomer(ctx, "acme")
		return err
	})
	var conflict *service.ConflictError
	_, err := o.startBackfill(t.Context(), acme)
	require.ErrorAs(t, err, &conflict)
	_, err = o.setConfig(t.Context(), report.ConfigChange{CustomerID: "acme", PollCadenceMinutes: new(int32(5))})
	require.ErrorAs(t, err, &conflict)
}

func TestSettingsAreHeldAgainstTheRulesOfOnboardingFieldByField(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	_, err := o.setConfig(t.Context(), report.ConfigChange{
		CustomerID: "acme", PollCadenceMinutes: new(int32(0)), AdminEmail: new("nobody"), RequestsPerSecond: new(-1.0),
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
	_, err = o.setConfig(t.Context(), report.ConfigChange{CustomerID: "acme", DestinationChange: report.DestinationMoved})
	require.ErrorAs(t, err, &fields)
	_, err = o.setConfig(t.Context(), report.ConfigChange{CustomerID: "globex"})
	require.ErrorIs(t, err, store.ErrNotFound)
	require.Zero(t, o.eventCount(t, "config.changed"))
}

func TestWhatIsNotAskedForStays(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	first, err := o.setConfig(t.Context(), report.ConfigChange{
		CustomerID: "acme", AdminEmail: new("it@acme.example"), RequestsPerSecond: new(2.5), RequestsPerMinute: new(0.0),
	})
	require.NoError(t, err)
	require.Len(t, first.Changes, 3)
	second, err := o.setConfig(t.Context(), report.ConfigChange{
		CustomerID: "acme", PollCadenceMinutes: new(int32(15)), Unset: []string{report.FieldRequestsPerSecond},
	})
	require.NoError(t, err)
	require.Equal(t, []string{"pollCadenceMinutes", "limits.requestsPerSecond"}, fieldsOf(second.Changes))
	require.Equal(t, report.Config{
		CustomerID: "acme", Enabled: true, ExternalSystemURL: "https://crm.example/v1", DestinationKind: "rest", PollCadenceMinutes: 15,
		AdminEmail: new("it@acme.example"), Limits: report.ConfigLimits{RequestsPerMinute: new(0.0)},
	}, second.Config)
	same, err := o.setConfig(t.Context(), report.ConfigChange{CustomerID: "acme", PollCadenceMinutes: new(int32(15))})
	require.NoError(t, err)
	require.Empty(t, same.Changes)
	require.Equal(t, 2, o.eventCount(t, "config.changed"), "what changes nothing tells nothing")
	require.Zero(t, o.desk.count(t, `SELECT count(*) FROM outbox WHERE convert_from(payload, 'UTF8') LIKE '%@%'`), "an event has no values")
}

func TestANewAddressHasToSayWhatItIs(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	asked := report.ConfigChange{CustomerID: "acme", ExternalSystemURL: new("https://crm.example/v2")}
	_, err := o.setConfig(t.Context(), asked)
	var fields *service.FieldsError
	require.ErrorAs(t, err, &fields)
	require.Contains(t, fields.Errors["destinationChange"][0], "--new-system")
	require.Zero(t, o.desk.count(t, `SELECT count(*) FROM sync_configs WHERE external_system_url LIKE '%v2'`))

	started, err := o.startBackfill(t.Context(), acme)
	require.NoError(t, err)
	o.parkFor(t, event.AlertDestinationDown)
	asked.DestinationChange = report.DestinationMoved
	moved, err := o.setConfig(t.Context(), asked)
	require.NoError(t, err)
	require.Equal(t, started.Backfill.ID, moved.Backfill.ID, "the run of the old address is woken")
	require.Equal(t, "queued", moved.Backfill.State)
	require.Equal(t, 2, o.requests(t))
	require.Equal(t, 1, o.desk.count(t, `SELECT count(*) FROM sync_configs WHERE destination = '{"kind":"rest","url":"https://crm.example/v2","more":[1]}'`))
	require.Equal(t, 1, o.desk.count(t, `SELECT count(*) FROM alerts WHERE type = 'destination_down' AND cleared_at IS NOT NULL`))
	require.Nil(t, o.run(t).Rewrite)

	asked.ExternalSystemURL, asked.DestinationChange = new("https://other.example"), report.DestinationNewSystem
	o.parkFor(t, event.AlertDestinationDown)
	replaced, err := o.setConfig(t.Context(), asked)
	require.NoError(t, err)
	require.Greater(t, replaced.Backfill.ID, started.Backfill.ID)
	require.True(t, replaced.Backfill.Rewrite)
	require.True(t, o.run(t).Rewrite.NewSystem)
	require.Equal(t, 1, o.eventCount(t, "backfill.cancelled"))
	require.Equal(t, 3, o.requests(t))
	require.Zero(t, o.desk.count(t, `SELECT count(*) FROM customer_leases WHERE expires_at > now()`), "the lane is free again")

	_, err = o.pauseBackfill(t.Context(), acme)
	require.NoError(t, err)
	asked.ExternalSystemURL = new("https://third.example")
	third, err := o.setConfig(t.Context(), asked)
	require.NoError(t, err)
	require.Equal(t, "paused", third.Backfill.State, "what an operator paused is not woken by it")
	require.Equal(t, 3, o.requests(t))
}

func TestADestinationIsNotChangedWhileAJobHoldsTheLane(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	_, err := o.store.TakeLease(t.Context(), "acme", "worker-1", time.Minute)
	require.NoError(t, err)
	o.patience = time.Millisecond
	_, err = o.setConfig(t.Context(), report.ConfigChange{
		CustomerID: "acme", ExternalSystemURL: new("https://crm.example/v2"), DestinationChange: report.DestinationMoved,
	})
	var busy *service.BusyError
	require.ErrorAs(t, err, &busy)
	require.Zero(t, o.desk.count(t, `SELECT count(*) FROM sync_configs WHERE external_system_url LIKE '%v2'`))
	changed, err := o.setConfig(t.Context(), report.ConfigChange{CustomerID: "acme", PollCadenceMinutes: new(int32(5))})
	require.NoError(t, err, "what is not the destination waits for nobody")
	require.Len(t, changed.Changes, 1)
}

func TestTheOldSystemsTokenIsNotSentToANewOne(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	public, err := o.vault.PublicXKey(t.Context())
	require.NoError(t, err)
	sealed, err := vault.SealToken(public, "crm-token")
	require.NoError(t, err)
	given, err := o.setConfig(t.Context(), report.ConfigChange{CustomerID: "acme", DestinationTokenSealed: sealed})
	require.NoError(t, err)
	require.Equal(t, []report.Change{{Field: "destination.token"}}, given.Changes)
	require.True(t, given.Config.HasDestinationAuth)
	stored, err := o.store.Credential(t.Context(), "acme", store.CredentialDestinationToken)
	require.NoError(t, err)
	plain, err := o.vault.Open(t.Context(), "acme", store.CredentialDestinationToken, stored)
	require.NoError(t, err)
	require.Equal(t, "crm-token", string(plain))

	moved := report.ConfigChange{CustomerID: "acme", ExternalSystemURL: new("https://crm.example/v2"), DestinationChange: report.DestinationMoved}
	kept, err := o.setConfig(t.Context(), moved)
	require.NoError(t, err)
	require.True(t, kept.Config.HasDestinationAuth)
	moved.ExternalSystemURL, moved.DestinationChange = new("https://other.example"), report.DestinationNewSystem
	forgotten, err := o.setConfig(t.Context(), moved)
	require.NoError(t, err)
	require.False(t, forgotten.Config.HasDestinationAuth)
}

// parkFor parks the open run as a worker does whose destination is down.
func (o *office) parkFor(t *testing.T, reason string) {
	t.Helper()
	lease, err := o.store.TakeLease(t.Context(), "acme", "worker-1", time.Minute)
	require.NoError(t, err)
	run, err := o.store.ClaimRun(t.Context(), o.run(t).ID, lease.Epoch)
	require.NoError(t, err)
	o.do(t, func(ctx context.Context, tx *store.Tx) error {
		if err := event.Raise(ctx, tx, event.AlertFor("acme", reason)); err != nil {
			return err
		}
		return tx.ParkRun(ctx, run.ID, lease.Epoch, reason, "", time.Hour)
	})
	require.NoError(t, lease.Release(t.Context()))
}
