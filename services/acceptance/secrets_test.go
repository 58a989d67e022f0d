package acceptance_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// traces are the forms in which a secret could be at rest.
func traces(secret string) [][]byte {
	return [][]byte{
		[]byte(secret), []byte(hex.EncodeToString([]byte(secret))), []byte(base64.StdEncoding.EncodeToString([]byte(secret))),
		[]byte(base64.RawURLEncoding.EncodeToString([]byte(secret))),
	}
}

// dump is every row of every table as text.
func (h *house) dump() string {
	h.t.Helper()
	rows, err := h.pool.Query(h.t.Context(),
		`SELECT quote_ident(table_name) FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`)
	require.NoError(h.t, err)
	tables, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(h.t, err)
	require.Greater(h.t, len(tables), 10)
	var all strings.Builder
	for _, table := range tables {
		rows, err := h.pool.Query(h.t.Context(), `SELECT coalesce(string_agg(t::text, E'\n'), '') FROM `+table+` t`)
		require.NoError(h.t, err)
		text, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[string])
		require.NoError(h.t, err)
		all.WriteString(text)
	}
	return all.String()
}

func (h *house) requireNoTrace(secret string) {
	h.t.Helper()
	dump, logs := []byte(h.dump()), []byte(h.logs())
	for _, trace := range traces(secret) {
		require.False(h.t, bytes.Contains(dump, trace), "no trace of %s… in the database", secret[:8])
		require.False(h.t, bytes.Contains(logs, trace), "no trace of %s… in a log", secret[:8])
	}
	err := filepath.WalkDir(h.nats.StoreDir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, trace := range traces(secret) {
			require.False(h.t, bytes.Contains(content, trace), "no trace of %s… in %s", secret[:8], path)
		}
		return nil
	})
	require.NoError(h.t, err)
}

// The server of this test does not encrypt its files, so that what is not found there was erased.
func TestATokenInTheClearIsNowhereAtRest(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	const good, wrong, misplaced = "goodtoken-3f9c1e77ab", "wrongtoken-99aa21bc0d", "lost-token-77cc10ffee"
	h.control("POST", "/control/orgs", map[string]any{"name": "acme", "token": good, "users": 45}, nil)
	h.start(programOnboarding)
	for _, program := range []string{programBackfill, programPoller, programReconciler, programDLQRetry, programNotifier} {
		h.start(program)
	}

	request := h.request("acme")
	request["vomoToken"] = good
	h.publish(bus.SubjectOnboard("acme"), request)
	h.untilState("acme", "completed", longest)

	refusedByVomo := h.request("beta")
	refusedByVomo["vomoToken"] = wrong
	h.publish(bus.SubjectOnboard("beta"), refusedByVomo)
	invalid := h.request("gamma")
	invalid["vomoToken"], invalid["pollCadenceMinutes"] = wrong, -5
	h.publish(bus.SubjectOnboard("gamma"), invalid)
	h.publish(bus.SubjectOnboard("delta"), []byte(`{"customerId":"delta","vomoToken":"`+misplaced))
	h.publish(bus.SubjectOnboard("epsilon"), map[string]any{misplaced: "x", "customerId": misplaced, "adminEmail": misplaced})
	h.publish(bus.SubjectOnboard("NOBODY"), map[string]any{"customerId": "NOBODY", "vomoToken": misplaced})
	h.publish(bus.SubjectOffboard("zeta"), map[string]any{"customerId": "zeta", "vomoToken": misplaced})
	for _, customer := range []string{"beta", "gamma", "delta", "epsilon", "zeta"} {
		h.until(soon, customer+" is rejected", func() bool {
			return len(h.events("ROLLCALL_EVENTS", "rollcall.events.onboarding.rejected."+customer)) == 1
		})
	}
	h.until(soon, "the letter is shown", func() bool { return len(h.events("ROLLCALL_DLQ", "rollcall.dlq.review.message._unknown")) == 1 })
	h.until(soon, "nothing is left in the stream", func() bool {
		stream, err := h.js.Stream(t.Context(), bus.StreamOnboarding)
		require.NoError(t, err)
		return stream.CachedInfo().State.Msgs == 0
	})
	rejected := h.events("ROLLCALL_EVENTS", "rollcall.events.onboarding.rejected.beta")
	require.JSONEq(t, `{"errors":{"vomoToken":["Token rejected by VOMO API"]},"customerId":"beta","streamSequence":"2"}`, string(rejected[0].Data()))

	require.Contains(t, h.logs(), "onboarding rejected", "the logs are read")
	require.Contains(t, h.dump(), "acme", "the database is read")
	for _, secret := range []string{good, wrong, misplaced} {
		h.requireNoTrace(secret)
	}
	h.nats.Stop()
	h.requireNoTrace(good)
	h.requireNoTrace(misplaced)
}
