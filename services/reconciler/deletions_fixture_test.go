package main

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/service"
)

const deletionSubject = "rollcall.reconcile.user_deletions.acme"

// addPeople adds users 1 to count to VOMO.
func (f *fixture) addPeople(count int) {
	ids := make([]int, 0, count)
	for id := range count {
		ids = append(ids, id+1)
	}
	f.change(yesterday, "a", ids...)
}

// remove removes users from VOMO.
func (f *fixture) remove(ids ...int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		delete(f.people, id)
	}
}

func (f *fixture) removeRange(from, to int) {
	for id := from; id <= to; id++ {
		f.remove(id)
	}
}

// locked changes what VOMO or the CRM answers.
func (f *fixture) locked(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// deletions returns the ids that were deleted at the CRM, sorted.
func (f *fixture) deletions() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := slices.Clone(f.deleted)
	slices.Sort(ids)
	return ids
}

// scanDeletions requests a scan by hand, waits until it is the nth that has ended or is held, and returns it.
func (f *fixture) scanDeletions(nth int) string {
	f.t.Helper()
	f.publish(deletionSubject, plain)
	return f.waitScan(nth)
}

func (f *fixture) waitScan(nth int) string {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		return values[int](f, `SELECT count(*) FROM deletion_runs WHERE ended_at IS NOT NULL OR state = 'held'`)[0] >= nth && f.waiting() == 0 &&
			values[int](f, `SELECT count(*) FROM runs WHERE kind = 'user_deletions'`)[0] == 0
	}, soon, 20*time.Millisecond)
	return f.lastScan()
}

func (f *fixture) lastScan() string {
	f.t.Helper()
	return values[string](f, `SELECT concat_ws(' ', state, held_for, 'scanned', scanned, 'missing', missing,
		'confirmed', confirmed, 'deleted', deleted, 'failed', failed) FROM deletion_runs ORDER BY id DESC LIMIT 1`)[0]
}

// ask asks the operator API.
func ask[Reply any](f *fixture, verb string, question any) (reply Reply, code string) {
	f.t.Helper()
	conn, err := nats.Connect(f.settings.NATSURL)
	require.NoError(f.t, err)
	defer conn.Close()
	body, err := json.Marshal(question)
	require.NoError(f.t, err)
	answer, err := conn.Request(service.APISubject("deletions", verb), body, soon)
	require.NoError(f.t, err)
	if code = answer.Header.Get("Nats-Service-Error-Code"); code == "" {
		require.NoError(f.t, json.Unmarshal(answer.Data, &reply))
	}
	return reply, code
}

func (f *fixture) activeAlerts() []string {
	f.t.Helper()
	return values[string](f, `SELECT type FROM alerts WHERE cleared_at IS NULL ORDER BY 1`)
}

func (f *fixture) candidates() []string {
	f.t.Helper()
	return values[string](f, `SELECT concat_ws(' ', record_id, state, code) FROM deletion_candidates
		WHERE run_id = (SELECT max(run_id) FROM deletion_candidates) ORDER BY record_id::int`)
}
