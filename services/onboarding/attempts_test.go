package main

import (
	"context"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/worker"
)

const (
	onboardAcme = "rollcall.onboarding.request.acme"
	allLetters  = `SELECT count(*) FROM dead_letters`
	allAttempts = `SELECT count(*) FROM message_attempts`
)

func (d *desk) exec(t *testing.T, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), d.database)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), statement)
	require.NoError(t, err)
}

// dies is an attempt of another process, which is killed.
func (d *desk) dies(t *testing.T) {
	t.Helper()
	other := &attempts{store: d.store, logger: d.logger}
	_, tooMany, err := other.begin(t.Context(), deadletter.OriginOf("ROLLCALL_ONBOARDING", streamBorn, 7))
	require.NoError(t, err)
	require.False(t, tooMany)
}

func TestTenAttemptsThatEndInAKillOrAPanicMakeALetterAndAnAlert(t *testing.T) {
	t.Parallel()
	for subject, body := range map[string]string{
		onboardAcme:                         wellFormed,
		"rollcall.onboarding.offboard.acme": `{"customerId":"acme"}`,
	} {
		t.Run(subject, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			delivery := message(subject, body)
			delivery.Deliveries = 1 << 20              // deliveries do not count
			d.store, delivery.Data = nil, []byte(body) // whatever needs it panics
			for range 5 {
				require.Panics(t, func() { _ = d.handle(t.Context(), delivery) })
			}
			d.store = d.letters.Store
			for range 5 {
				d.dies(t)
			}
			require.Zero(t, d.count(t, allLetters))

			require.ErrorIs(t, d.handle(t.Context(), delivery), worker.ErrSettled)

			require.Equal(t, 1, d.count(t, allLetters+` WHERE customer_id = 'acme' AND error_code = 'too_many_deliveries' AND payload_sealed IS NOT NULL`))
			require.Equal(t, 1, d.count(t, `SELECT count(*) FROM alerts WHERE customer_id = 'acme' AND type = 'onboarding_letter' AND cleared_at IS NULL`))
			require.Equal(t, 1, d.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.alerts.high.onboarding_letter.acme'`))
			require.Equal(t, []uint64{7}, d.erased)
		})
	}
}

func TestNineCrashesAreForgivenAndTheTenthAttemptIsDone(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for range maxUnended - 1 {
		d.dies(t)
	}
	require.ErrorIs(t, d.handle(t.Context(), message(onboardAcme, wellFormed)), worker.ErrSettled)
	require.Zero(t, d.count(t, allLetters))
	require.Equal(t, 1, d.count(t, `SELECT count(*) FROM onboarding_requests WHERE state = 'pending'`))
}

// lostKeys is a key store that cannot be reached.
type lostKeys struct{ vault.KeyStore }

func (lostKeys) CustomerKey(context.Context, string) (store.SealedKey, error) {
	return store.SealedKey{}, errAway
}

var errAway = errors.New("away")

func TestOutagesOfOursAreNoAttempts(t *testing.T) {
	t.Parallel()
	const far = 3 * maxUnended
	for name, outage := range map[string]func(t *testing.T, d *desk) (over func()){
		"keys": func(_ *testing.T, d *desk) func() {
			keys := d.vault.Keys
			d.vault.Keys = lostKeys{keys}
			return func() { d.vault.Keys = keys }
		},
		"no attempt is noted": func(t *testing.T, d *desk) func() {
			t.Helper()
			d.exec(t, `ALTER TABLE message_attempts RENAME TO away`)
			return func() { d.exec(t, `ALTER TABLE away RENAME TO message_attempts`) }
		},
		"the work cannot be committed": func(t *testing.T, d *desk) func() {
			t.Helper()
			d.exec(t, `ALTER TABLE onboarding_requests RENAME TO away`)
			return func() { d.exec(t, `ALTER TABLE away RENAME TO onboarding_requests`) }
		},
		"no end is noted": func(t *testing.T, d *desk) func() {
			t.Helper()
			d.exec(t, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF (SELECT current_query()) LIKE '%AttemptEnd%' THEN RAISE EXCEPTION 'away'; END IF; RETURN old; END $$`)
			d.exec(t, `CREATE TRIGGER refuse BEFORE DELETE ON message_attempts FOR EACH ROW EXECUTE FUNCTION refuse()`)
			d.failNext = far
			return func() { d.exec(t, `DROP TRIGGER refuse ON message_attempts`) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			over := outage(t, d)
			for number := range far {
				delivery := message(onboardAcme, wellFormed)
				delivery.Deliveries = number + 1
				err := d.handle(t.Context(), delivery)
				require.Error(t, err)
				require.NotErrorIs(t, err, worker.ErrSettled)
			}
			over()
			delivery := message(onboardAcme, wellFormed)
			delivery.Deliveries = far + 1

			require.ErrorIs(t, d.handle(t.Context(), delivery), worker.ErrSettled)

			require.Zero(t, d.count(t, allLetters))
			require.Equal(t, 1, d.count(t, `SELECT count(*) FROM onboarding_requests WHERE state = 'pending'`))
			require.Zero(t, d.count(t, allAttempts))
		})
	}
}

func TestEndsThatCannotBeNotedAreKeptUpToABound(t *testing.T) {
	t.Parallel()
	a := &attempts{}
	for range mostOwed + 5 {
		a.owe(store.MessageAttempt{ID: uuid.New()})
	}
	require.Len(t, a.take(), mostOwed)
	require.Empty(t, a.take())
}
