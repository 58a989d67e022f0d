package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

func TestUndoRestoresUsersThatVOMOStillHas(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(40)
	f.start()
	f.scanDeletions(1)
	f.remove(4, 5, 6)
	f.scanDeletions(2)
	require.Len(t, f.deletions(), 3)
	f.locked(func() {
		f.people[4] = person{phone: "a", updated: yesterday} // in the very same version
		f.deleted = nil
	})
	f.requests()

	undone, code := ask[operatorapi.UndoCommanded](f, "undo", operatorapi.UndoCommand{CustomerID: "acme", VomoIDs: []string{"4", "5", "30"}})

	require.Empty(t, code)
	require.EqualValues(t, 2, undone.Users)
	require.Equal(t, []string{"30"}, undone.NotDeleted)
	f.waitUndone()
	require.Equal(t, []string{"4 restored", "5 deleted source_not_found", "6 deleted"}, f.candidates())
	_, written := f.requests()
	require.Equal(t, []string{"4"}, written)
	require.Equal(t, []string{"4 crm-4"}, values[string](f,
		`SELECT vomo_user_id || ' ' || external_user_id FROM user_mappings WHERE vomo_user_id IN ('4', '5', '6')`))
	require.Equal(t, []string{"4 true", "5 false"}, values[string](f,
		`SELECT record_id || ' ' || succeeded FROM sync_audit WHERE operation = 'undo_delete' ORDER BY 1`))
	require.Len(t, f.events("user.created"), 41)

	f.clock(morning.Add(8 * 24 * time.Hour))
	_, code = ask[operatorapi.UndoCommanded](f, "undo", operatorapi.UndoCommand{CustomerID: "acme", VomoIDs: []string{"6"}})
	require.Equal(t, service.CodeConflict, code, "a deletion of more than a week ago stays")
}

func TestUndoOfARunRestoresAllThatVOMOHas(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(100)
	f.start()
	f.scanDeletions(1)
	f.removeRange(91, 99)
	f.scanDeletions(2)
	run := values[int64](f, `SELECT max(id) FROM deletion_runs`)[0]
	f.locked(func() {
		for id := 91; id <= 98; id++ {
			f.people[id] = person{phone: "a", updated: yesterday}
		}
		f.deleted = nil
	})

	undone, _ := ask[operatorapi.UndoCommanded](f, "undo", operatorapi.UndoCommand{CustomerID: "acme", RunID: run})

	require.EqualValues(t, 9, undone.Users)
	f.waitUndone()
	require.Equal(t, []int{99}, values[int](f, `SELECT count(*) FROM user_mappings`))
	require.Equal(t, []string{"deleted 1", "restored 8"}, values[string](f, `SELECT state || ' ' || count(*) FROM deletion_candidates GROUP BY state ORDER BY 1`))
}

// waitUndone waits until no user is to be read again.
func (f *fixture) waitUndone() {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		return values[int](f, `SELECT count(*) FROM deletion_candidates WHERE state = 'undo'`)[0] == 0 && f.waiting() == 0 &&
			values[int](f, `SELECT count(*) FROM runs`)[0] == 0
	}, soon, 20*time.Millisecond)
}
