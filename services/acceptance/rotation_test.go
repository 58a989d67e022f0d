package acceptance_test

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

func TestKeysAreRotatedWhileServicesRun(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.env["SECRETS_URL_NEXT"] = "dev:" + filepath.Join(t.TempDir(), "next.key")
	f.organisation("acme", 600)
	f.organisation("globex", 60)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.slowDown(40)
	f.onboard("acme")
	f.await(soon, "a backfill is under way", func() bool {
		run := f.backfill("acme")
		return run != nil && run.Processed > 100
	})

	keys, err := store.Open(t.Context(), f.database, store.Options{MaxConns: 2})
	require.NoError(t, err)
	t.Cleanup(keys.Close)
	keeper, err := vault.OpenKeeper(t.Context(), f.env["SECRETS_URL"], f.env["SECRETS_URL_NEXT"])
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	answer, err := f.conn.Request("$SRV.PING.rollcall-backfill", nil, soon)
	require.NoError(t, err)
	var ping micro.Ping
	require.NoError(t, json.Unmarshal(answer.Data, &ping))
	require.Equal(t, strings.Join(keeper.IDs(), ","), ping.Metadata[service.MetadataKeys], "a service tells which keys it has")

	done, err := (&vault.Rotation{Keeper: keeper, Store: keys}).Run(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, done.Customers.Resealed)

	f.onboard("globex")
	f.awaitState("acme", "completed", longest)
	f.awaitState("globex", "completed", longest)
	f.requireMirrored("acme", 600)
	f.requireMirrored("globex", 60)
	require.Zero(t, f.count(`SELECT count(*) FROM customer_keys WHERE key_id <> $1`, done.KeyID))
}
