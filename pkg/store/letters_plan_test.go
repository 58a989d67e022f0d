package store_test

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

// A session plans a statement early and keeps the plan while the tables grow: a customer whose first backfill opens thousands of letters
// must not have each page go through all of them.
func TestPlansOfAnEmptyDatabaseLookEachLetterUp(t *testing.T) {
	t.Parallel()
	conn, err := pgx.Connect(t.Context(), testkit.Database(t))
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), `SET plan_cache_mode = force_generic_plan`)
	require.NoError(t, err)
	found := statements(t)
	for name, by := range map[string]struct {
		index      string
		parameters int
	}{
		"LettersOpenFor":          {"dead_letters_record", 3},
		"LettersSettleSuperseded": {"dead_letters_record", 3},
		"DrainItemsAmong":         {"dlq_drain_items_pkey", 2},
	} {
		_, err := conn.Exec(t.Context(), "PREPARE planned AS "+found[name], pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err, name)
		values := strings.TrimSuffix(strings.Repeat("NULL, ", by.parameters), ", ")
		rows, err := conn.Query(t.Context(), "EXPLAIN EXECUTE planned("+values+")", pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err, name)
		lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(t, err, name)
		require.Contains(t, strings.Join(lines, "\n"), "using "+by.index+" on", name)
		_, err = conn.Exec(t.Context(), "DEALLOCATE planned")
		require.NoError(t, err)
	}
}
