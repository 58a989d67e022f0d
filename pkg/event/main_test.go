package event_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

var now = time.Date(2026, time.March, 2, 9, 30, 0, 500, time.FixedZone("CET", 3600))

// fixture is a store whose outbox a test reads.
type fixture struct {
	*store.Store
	url string
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	url := testkit.Database(t)
	from, err := store.Open(t.Context(), url, store.Options{MaxConns: 2})
	require.NoError(t, err)
	t.Cleanup(from.Close)
	return &fixture{Store: from, url: url}
}

// outbox returns the messages published so far, in order.
func (s *fixture) outbox(t *testing.T) []store.Message {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(context.Background())) }()
	rows, err := conn.Query(t.Context(), `SELECT subject, msg_id, headers, payload FROM outbox ORDER BY id`)
	require.NoError(t, err)
	messages, err := pgx.CollectRows(rows, pgx.RowToStructByPos[store.Message])
	require.NoError(t, err)
	return messages
}

func body(t *testing.T, message store.Message) map[string]any {
	t.Helper()
	var fields map[string]any
	require.NoError(t, json.Unmarshal(message.Payload, &fields))
	return fields
}
