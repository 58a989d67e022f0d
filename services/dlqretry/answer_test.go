package main

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

// keysAway is a key store whose keys cannot be opened, as if the key service did not answer.
type keysAway struct{ vault.KeyStore }

func (keysAway) CustomerKey(context.Context, string) (store.SealedKey, error) {
	return store.SealedKey{}, fmt.Errorf("open key: %w", vault.ErrUnavailable)
}

func TestADestinationsOwnWordsAreShownToAnOperatorAndStandNowhereInTheClear(t *testing.T) {
	t.Parallel()
	const canary = "canary-8c1f"
	d := newDesk(t)
	core, logs := observer.New(zapcore.DebugLevel)
	d.retry.logger, d.retry.connect.Logger, d.follow.logger = zap.New(core), zap.New(core), zap.New(core)
	start(t, d.follow.run)
	id := d.letter(t, "acme", "1", true)
	require.Empty(t, value[string](t, d, `SELECT coalesce(encode(answer_sealed, 'hex'), '') FROM dead_letters`))
	d.crmSays(http.StatusUnprocessableEntity, `{"code":"invalid","message":"`+canary+`@example.org is taken"}`)
	d.turn(t, "acme", 0, "")
	require.Equal(t, "review", d.state(t, id))
	require.Equal(t, "invalid", value[string](t, d, `SELECT error_code FROM dead_letters WHERE id = $1`, id))

	office := &letterDesk{store: d.store, vault: d.vault, logger: zap.New(core)}
	shown, err := office.show(t.Context(), report.LetterQuestion{ID: id.String()})
	require.NoError(t, err)
	require.Equal(t, &destination.Answer{Status: 422, Text: `{"code":"invalid","message":"` + canary + `@example.org is taken"}`}, shown.DestinationAnswer)

	d.requireShown(t, id)
	for _, message := range d.dlq(t) {
		require.NotContains(t, string(message.Data), canary)
		for _, values := range message.Header {
			require.NotContains(t, values, canary)
		}
	}
	require.Zero(t, value[int](t, d, `SELECT count(*) FROM dead_letters l WHERE position($1 IN l::text) > 0 OR position($2::bytea IN l.answer_sealed) > 0`,
		canary, []byte(canary)))
	for _, table := range []string{"outbox", "alerts", "sync_audit", "job_log"} {
		require.Zero(t, value[int](t, d, `SELECT count(*) FROM `+table+` r WHERE position($1 IN r::text) > 0`, canary), table)
	}
	for _, line := range logs.All() {
		text, err := zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()).EncodeEntry(line.Entry, line.Context)
		require.NoError(t, err)
		require.NotContains(t, text.String(), canary)
	}

	office.vault = &vault.Vault{Keeper: d.vault.Keeper, Keys: keysAway{d.store}}
	shown, err = office.show(t.Context(), report.LetterQuestion{ID: id.String()})
	require.NoError(t, err, "an outage of the key service hides no letter")
	require.Equal(t, "invalid", shown.ErrorCode)
	require.Nil(t, shown.DestinationAnswer)
	office.vault = d.vault

	d.exec(t, `DELETE FROM customer_keys WHERE customer_id = 'acme'`)
	shown, err = office.show(t.Context(), report.LetterQuestion{ID: id.String()})
	require.NoError(t, err)
	require.Nil(t, shown.DestinationAnswer)
}
