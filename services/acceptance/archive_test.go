package acceptance_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// mappingRows returns all columns of a customer's mappings as text, by VOMO id.
func (f *fixture) mappingRows(customer string) map[string]string {
	f.t.Helper()
	rows, err := f.pool.Query(f.t.Context(), `SELECT vomo_user_id, m::text FROM user_mappings m WHERE customer_id = $1`, customer)
	require.NoError(f.t, err)
	mappings := map[string]string{}
	var user, row string
	_, err = pgx.ForEachRow(rows, []any{&user, &row}, func() error {
		mappings[user] = row
		return nil
	})
	require.NoError(f.t, err)
	return mappings
}

func TestArchivedCustomerReturnsWithoutABackfill(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.env["ARCHIVE_AFTER"] = "720h"
	const users = 150 // ten pages
	f.startPolledCustomer("acme", users, 30)
	f.organisation("globex", 30)
	f.onboard("globex")
	f.awaitState("globex", "completed", longest)
	f.afterPolls(soon)
	f.operator("pause", "acme")
	before := f.mappingRows("acme")
	require.Len(t, before, users)
	f.advance(15 * 24 * time.Hour)
	f.batch("acme", map[string]any{"edits": []map[string]any{{"id": 1020, "email": "new@people.example"}, {"id": 1021, "phone": "+15551111111"}}})
	f.advance(16 * 24 * time.Hour)

	f.start(programBackfill) // an archiver begins with its process
	f.await(longest, "the mapping is archived", func() bool { return f.count(`SELECT count(*) FROM user_mappings WHERE customer_id = 'acme'`) == 0 })

	require.Equal(t, users, f.count(`SELECT sum(users) FROM mapping_archives WHERE customer_id = 'acme'`))
	require.Len(t, f.mappingRows("globex"), 30, "an active customer stays")
	var status struct {
		Inventory struct{ TotalUsersMirrored int }
	}
	require.NoError(t, json.Unmarshal([]byte(f.operator("status", "acme", "--json")), &status))
	require.Equal(t, users, status.Inventory.TotalUsersMirrored)
	earlier := f.traffic()

	f.operator("resume", "acme")

	f.await(longest, "what changed meanwhile is mirrored", func() bool { return f.compare("acme").Same == users })
	f.await(soon, "a poll is complete", func() bool { return f.count(`SELECT count(*) FROM runs WHERE customer_id = 'acme'`) == 0 })
	requests, written := f.since(earlier, "acme")
	t.Logf("after the return: %d requests to VOMO, %d records written", requests, written)
	require.LessOrEqual(t, requests, users/15/2, "the whole list has ten pages")
	require.Equal(t, 2, written)
	require.Equal(t, 1, f.count(`SELECT count(*) FROM all_runs WHERE customer_id = 'acme' AND kind = 'backfill'`), "the first one alone")
	require.Zero(t, f.count(`SELECT count(*) FROM mapping_archives`))
	after := f.mappingRows("acme")
	for _, id := range []string{"1020", "1021"} {
		require.NotEqual(t, before[id], after[id])
		delete(before, id)
		delete(after, id)
	}
	require.Equal(t, before, after, "each mapping is as it was")
}
