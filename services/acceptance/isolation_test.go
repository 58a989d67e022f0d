package acceptance_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// The case testdata/cases/isolation.md of package store, end to end: six customers at once and three backfill workers.
func TestADatabaseThatDefaultsToSerializableFailsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	_, err := h.pool.Exec(t.Context(), `DO $$ BEGIN
		EXECUTE format('ALTER DATABASE %I SET default_transaction_isolation = ''serializable''', current_database()); END $$`)
	require.NoError(t, err)
	h.start(programOnboarding)
	for range 3 {
		h.start(programBackfill)
	}
	var customers []string
	for i := range 6 {
		customers = append(customers, fmt.Sprintf("org-%d", i))
		h.organisation(customers[i], 150)
	}
	for _, customer := range customers {
		h.onboard(customer)
	}
	for _, customer := range customers {
		h.untilState(customer, "completed", longest)
		h.requireMirrored(customer, 150)
	}
	require.Zero(t, h.count(`SELECT count(*) FROM onboarding_requests WHERE state <> 'applied' OR attempts > 1`))
	require.Zero(t, h.count(`SELECT count(*) FROM backfill_runs WHERE attempts > 1`))
	require.Zero(t, h.count(`SELECT count(*) FROM dead_letters`))
	for _, word := range []string{"40001", "could not serialize"} {
		require.NotContains(t, h.logs(), word)
	}
}
