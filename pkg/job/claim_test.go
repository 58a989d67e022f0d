package job_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func TestEachRequestOfAPollSpendsOneGrant(t *testing.T) {
	t.Parallel()
	for name, users := range map[string]int{"nothing changed": 0, "many pages changed": 150} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.sides.change(checkpoint.Add(time.Minute), "x", ids(users)...)

			f.polled()

			asked, _ := f.sides.saw()
			spent, err := f.store.Spent(t.Context(), "acme")
			require.NoError(t, err)
			require.EqualValues(t, len(asked), spent.Ever[store.JobPoll])
		})
	}
}

func TestLaneIsFreeAfterPoll(t *testing.T) {
	t.Parallel()
	for name, users := range map[string]int{"nothing changed": 0, "one page changed": 5, "many pages changed": 150} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.sides.change(checkpoint.Add(time.Minute), "x", ids(users)...)

			f.polled()

			_, err := f.store.TakeLease(t.Context(), "acme", "another", time.Minute)
			require.NoError(t, err)
		})
	}
}

func TestRunOfCustomerThatIsPausedRightBeforeTheClaimIsHandedBackWithoutCallingVOMO(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(`INSERT INTO customer_leases VALUES ('acme', 1, 'before', rollcall_now() - interval '1 minute')`)
	f.exec(`CREATE FUNCTION pause() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
		UPDATE sync_configs SET paused_at = coalesce(paused_at, now()); RETURN new; END $$`)
	f.exec(`CREATE TRIGGER pause BEFORE UPDATE ON customer_leases FOR EACH ROW EXECUTE FUNCTION pause()`)

	require.NoError(t, f.poll())

	asked, _ := f.sides.saw()
	require.Empty(t, asked)
	require.Equal(t, "parked pages 0 attempts 0 parks 0", f.run())
	f.exec(`DROP TRIGGER pause ON customer_leases`)
	_, err := f.store.TakeLease(t.Context(), "acme", "another", time.Minute)
	require.NoError(t, err)
}
