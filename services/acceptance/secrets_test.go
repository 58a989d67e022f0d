package acceptance_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// traces returns the forms in which a secret could be stored.
func traces(secret string) [][]byte {
	return [][]byte{
		[]byte(secret), []byte(hex.EncodeToString([]byte(secret))), []byte(base64.StdEncoding.EncodeToString([]byte(secret))),
		[]byte(base64.RawURLEncoding.EncodeToString([]byte(secret))),
	}
}

// dump returns every row of every table as text.
func (f *fixture) dump() string {
	f.t.Helper()
	rows, err := f.pool.Query(f.t.Context(),
		`SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`)
	require.NoError(f.t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(f.t, err)
	require.Greater(f.t, len(tables), 10)
	var all strings.Builder
	for _, table := range tables {
		rows, err := f.pool.Query(f.t.Context(), `SELECT coalesce(string_agg(t::text, E'\n'), '') FROM `+table+` t`)
		require.NoError(f.t, err)
		text, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
		require.NoError(f.t, err)
		all.WriteString(text)
	}
	return all.String()
}

func (f *fixture) requireNoTrace(secret string) {
	f.t.Helper()
	dump, logs := []byte(f.dump()), []byte(f.logs())
	for _, trace := range traces(secret) {
		require.False(f.t, bytes.Contains(dump, trace), "no trace of %s… in the database", secret[:8])
		require.False(f.t, bytes.Contains(logs, trace), "no trace of %s… in a log", secret[:8])
	}
	require.Empty(f.t, f.nats.FilesWith(f.t, traces(secret)...), "no trace of %s… in JetStream's files", secret[:8])
}

// The server of this test does not encrypt its files: a token that is not found in them was erased.
func TestTokenInTheClearIsNowhereAtRest(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	const good, wrong, misplaced = "goodtoken-3f9c1e77ab", "wrongtoken-99aa21bc0d", "lost-token-77cc10ffee"
	f.control("POST", "/control/orgs", map[string]any{"name": "acme", "token": good, "users": 45}, nil)
	f.start(programOnboarding)
	for _, program := range []string{programBackfill, programPoller, programReconciler, programDLQRetry, programNotifier} {
		f.start(program)
	}

	request := f.request("acme")
	request["vomoToken"] = good
	f.publish(bus.SubjectOnboard("acme"), request)
	f.awaitState("acme", "completed", longest)

	refusedByVomo := f.request("beta")
	refusedByVomo["vomoToken"] = wrong
	f.publish(bus.SubjectOnboard("beta"), refusedByVomo)
	invalid := f.request("gamma")
	invalid["vomoToken"], invalid["pollCadenceMinutes"] = wrong, -5
	f.publish(bus.SubjectOnboard("gamma"), invalid)
	f.publish(bus.SubjectOnboard("delta"), []byte(`{"customerId":"delta","vomoToken":"`+misplaced))
	f.publish(bus.SubjectOnboard("epsilon"), map[string]any{misplaced: "x", "customerId": misplaced, "adminEmail": misplaced})
	f.publish(bus.SubjectOnboard("UNKNOWN"), map[string]any{"customerId": "UNKNOWN", "vomoToken": misplaced})
	f.publish(bus.SubjectOffboard("zeta"), map[string]any{"customerId": "zeta", "vomoToken": misplaced})
	for _, customer := range []string{"beta", "gamma", "delta", "epsilon", "zeta"} {
		f.await(soon, customer+" is rejected", func() bool {
			return len(f.events("ROLLCALL_EVENTS", "rollcall.events.onboarding.rejected."+customer)) == 1
		})
	}
	f.await(soon, "the letter is shown", func() bool { return len(f.events("ROLLCALL_DLQ", "rollcall.dlq.review.message._unknown.*")) == 1 })
	f.await(soon, "nothing is left in the stream", func() bool {
		stream, err := f.js.Stream(t.Context(), bus.StreamOnboarding)
		require.NoError(t, err)
		return stream.CachedInfo().State.Msgs == 0
	})
	rejected := f.events("ROLLCALL_EVENTS", "rollcall.events.onboarding.rejected.beta")
	require.JSONEq(t, `{"errors":{"vomoToken":["Token rejected by VOMO API"]},"customerId":"beta","streamSequence":"2"}`, string(rejected[0].Data()))

	require.Contains(t, f.logs(), "onboarding rejected", "the logs are read")
	require.Contains(t, f.dump(), "acme", "the database is read")
	for _, secret := range []string{good, wrong, misplaced} {
		f.requireNoTrace(secret)
	}
	f.nats.Stop()
	f.requireNoTrace(good)
	f.requireNoTrace(misplaced)
}
