package acceptance_test

import (
	"encoding/json"
	"testing"

	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

func TestKeysAreRotatedUnderServicesAtWork(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 600)
	h.organisation("globex", 60)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.slow(40)
	h.onboard("acme")
	h.until(soon, "a backfill is under way", func() bool {
		run := h.backfill("acme")
		return run != nil && run.Processed > 100
	})

	keys, err := store.Open(t.Context(), h.database, store.Options{MaxConns: 2})
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	keeper, err := vault.OpenKeeper(t.Context(), h.env["SECRETS_URL"])
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	answer, err := h.conn.Request("$SRV.PING.rollcall-backfill", nil, soon)
	require.NoError(t, err)
	var ping micro.Ping
	require.NoError(t, json.Unmarshal(answer.Data, &ping))
	require.Equal(t, keeper.ID, ping.Metadata[service.MetadataKeys], "a service tells which keys it has")

	done, err := (&vault.Rotation{Keeper: keeper, Store: keys}).Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, done.Customers.Resealed)

	h.onboard("globex")
	h.untilState("acme", "completed", longest)
	h.untilState("globex", "completed", longest)
	h.requireMirrored("acme", 600)
	h.requireMirrored("globex", 60)
	require.Zero(t, h.count(`SELECT count(*) FROM customer_keys WHERE key_id <> $1`, done.KeyID))
}
