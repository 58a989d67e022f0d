package main

import (
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

const (
	onboardAcme = "rollcall.onboarding.request.acme"
	// maxUnfinished is after how many unfinished attempts package intake gives a message up.
	maxUnfinished = 10
	allLetters    = `SELECT count(*) FROM dead_letters`
	allAttempts   = `SELECT count(*) FROM message_attempts`
)

func (f *intakeFixture) exec(t *testing.T, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), f.database)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), statement)
	require.NoError(t, err)
}

// crash is an attempt of another process that is killed.
func (f *intakeFixture) crash(t *testing.T) {
	t.Helper()
	attempt := store.MessageAttempt{Origin: messageletter.OriginOf("ROLLCALL_ONBOARDING", streamCreated, 7), ID: uuid.New()}
	unfinished, err := f.letters.Store.BeginAttempt(t.Context(), attempt, nil)
	require.NoError(t, err)
	require.Less(t, int(unfinished), maxUnfinished)
}

func TestAttemptOfTheFirstDeliveryIsNotNoted(t *testing.T) {
	t.Parallel()
	f := newIntakeFixture(t)
	f.exec(t, `ALTER TABLE message_attempts RENAME TO away`) // every use fails
	delivery := message(onboardAcme, wellFormed)
	require.Equal(t, 1, delivery.Deliveries)
	require.ErrorIs(t, f.handle(t.Context(), delivery), worker.ErrSettled)
}

func TestTenCrashesOfAMessageOpenLetterAndRaiseAlert(t *testing.T) {
	t.Parallel()
	for subject, body := range map[string]string{
		onboardAcme:                         wellFormed,
		"rollcall.onboarding.offboard.acme": `{"customerId":"acme"}`,
	} {
		t.Run(subject, func(t *testing.T) {
			t.Parallel()
			f := newIntakeFixture(t)
			delivery := message(subject, body)
			delivery.Deliveries = 1 << 20              // deliveries do not count
			f.store, delivery.Data = nil, []byte(body) // every use panics
			for range 5 {
				require.Panics(t, func() { _ = f.handle(t.Context(), delivery) })
			}
			f.store = f.letters.Store
			for range 5 {
				f.crash(t)
			}
			require.Zero(t, f.count(t, allLetters))

			require.ErrorIs(t, f.handle(t.Context(), delivery), worker.ErrSettled)

			require.Equal(t, 1, f.count(t, allLetters+` WHERE customer_id = 'acme' AND error_code = 'too_many_deliveries' AND payload_sealed IS NOT NULL`))
			require.Equal(t, 1, f.count(t, `SELECT count(*) FROM alerts WHERE customer_id = 'acme' AND type = 'onboarding_letter' AND cleared_at IS NULL`))
			require.Equal(t, 1, f.count(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.alerts.high.onboarding_letter.acme'`))
			require.Equal(t, []uint64{7}, f.erased)
		})
	}
}

func TestMessageSucceedsAfterNineCrashes(t *testing.T) {
	t.Parallel()
	f := newIntakeFixture(t)
	for range maxUnfinished - 1 {
		f.crash(t)
	}
	require.ErrorIs(t, f.handle(t.Context(), message(onboardAcme, wellFormed)), worker.ErrSettled)
	require.Zero(t, f.count(t, allLetters))
	require.Equal(t, 1, f.count(t, `SELECT count(*) FROM onboarding_requests WHERE state = 'pending'`))
}

func TestOutagesOfPostgresAndKeyServiceAreNotCountedAsAttempts(t *testing.T) {
	t.Parallel()
	const far = 3 * maxUnfinished
	for name, outage := range map[string]func(t *testing.T, f *intakeFixture) (over func()){
		"keys": func(t *testing.T, f *intakeFixture) func() {
			t.Helper()
			f.exec(t, `ALTER TABLE customer_keys RENAME TO away`)
			return func() { f.exec(t, `ALTER TABLE away RENAME TO customer_keys`) }
		},
		"no attempt is noted": func(t *testing.T, f *intakeFixture) func() {
			t.Helper()
			f.exec(t, `ALTER TABLE message_attempts RENAME TO away`)
			return func() { f.exec(t, `ALTER TABLE away RENAME TO message_attempts`) }
		},
		"the work cannot be committed": func(t *testing.T, f *intakeFixture) func() {
			t.Helper()
			f.exec(t, `ALTER TABLE onboarding_requests RENAME TO away`)
			return func() { f.exec(t, `ALTER TABLE away RENAME TO onboarding_requests`) }
		},
		"no end is noted": func(t *testing.T, f *intakeFixture) func() {
			t.Helper()
			f.exec(t, `CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF (SELECT current_query()) LIKE '%AttemptEnd%' THEN RAISE EXCEPTION 'away'; END IF; RETURN old; END $$`)
			f.exec(t, `CREATE TRIGGER refuse BEFORE DELETE ON message_attempts FOR EACH ROW EXECUTE FUNCTION refuse()`)
			f.failNext = far
			return func() { f.exec(t, `DROP TRIGGER refuse ON message_attempts`) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newIntakeFixture(t)
			over := outage(t, f)
			for number := range far {
				delivery := message(onboardAcme, wellFormed)
				delivery.Deliveries = number + 2 // the attempts of the first delivery are not noted
				err := f.handle(t.Context(), delivery)
				require.Error(t, err)
				require.NotErrorIs(t, err, worker.ErrSettled)
			}
			over()
			delivery := message(onboardAcme, wellFormed)
			delivery.Deliveries = far + 2

			require.ErrorIs(t, f.handle(t.Context(), delivery), worker.ErrSettled)

			require.Zero(t, f.count(t, allLetters))
			require.Equal(t, 1, f.count(t, `SELECT count(*) FROM onboarding_requests WHERE state = 'pending'`))
			require.Zero(t, f.count(t, allAttempts))
		})
	}
}
