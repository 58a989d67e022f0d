package acceptance_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// The case testdata/cases/isolation.md of package store, end to end: six customers at once and three backfill workers.
func TestServicesWorkIfDatabaseDefaultsToSerializable(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	_, err := f.pool.Exec(t.Context(), `DO $$ BEGIN
		EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''serializable''', current_database()); END $$`)
	require.NoError(t, err)
	f.start(programOnboarding)
	for range 3 {
		f.start(programBackfill)
	}
	var customers []string
	for i := range 6 {
		customers = append(customers, fmt.Sprintf("org-%d", i))
		f.organisation(customers[i], 150)
	}
	for _, customer := range customers {
		f.onboard(customer)
	}
	for _, customer := range customers {
		f.awaitState(customer, "completed", longest)
		f.requireMirrored(customer, 150)
	}
	require.Zero(t, f.count(`SELECT count(*) FROM onboarding_requests WHERE state <> 'applied' OR attempts > 1`))
	require.Zero(t, f.count(`SELECT count(*) FROM all_runs WHERE kind = 'backfill' AND attempts > 1`))
	require.Zero(t, f.count(`SELECT count(*) FROM dead_letters`))
	for _, word := range []string{"40001", "could not serialize"} {
		require.NotContains(t, f.logs(), word)
	}
}
