package main

import (
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

func TestEachStatusHasAnEmptyBodyAndARejectedRequestWritesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	body := delivery(t, 10, 1)
	right := base64.StdEncoding.EncodeToString(sign(secret, body))
	for name, one := range map[string]struct {
		request request
		status  int
	}{
		"method":                 {request{method: http.MethodGet}, 405},
		"put":                    {request{method: http.MethodPut, body: body}, 405},
		"form":                   {request{contentType: "application/x-www-form-urlencoded", body: body}, 415},
		"compressed":             {request{encoding: "gzip", body: body}, 415},
		"too long":               {request{body: []byte(`"` + strings.Repeat("x", maxBody) + `"`)}, 413},
		"wrong signature":        {request{body: body, signature: base64.StdEncoding.EncodeToString(sign("another", body))}, 401},
		"no signature":           {request{body: body, signature: "none"}, 401},
		"signature of another":   {request{body: append(body, ' '), signature: right}, 401},
		"unknown customer":       {request{customer: "globex", body: body, signature: right}, 401},
		"no customer's id":       {request{customer: "Not%20An%20Id", body: body, signature: right}, 401},
		"unsigned and not JSON":  {request{body: []byte("<html>"), signature: "none"}, 401},
		"event of another kind":  {request{body: []byte(`{"event":"ProjectUpdate","models":[{}]}`)}, 200},
		"delivery of no records": {request{body: []byte(`{"event":"GiftCreate","models":[]}`)}, 200},
	} {
		got := f.send(t, one.request)
		require.Equal(t, one.status, got.status, name)
		require.Empty(t, got.body, name)
	}
	require.Equal(t, [3]int{}, f.written(t))

	unknown := f.send(t, request{customer: "globex", body: body, signature: right})
	wrong := f.send(t, request{body: body, signature: "none"})
	require.Equal(t, unknown, wrong, "an answer does not say which customers there are")
}

func TestASignedBodyThatIsNoDeliveryIsALetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, body := range []string{`{"event":`, `[]`, `{"models":[]}`, `{"event":"GiftCreate"}`} {
		require.Equal(t, 400, f.deliver(t, []byte(body)), body)
		require.Equal(t, 400, f.deliver(t, []byte(body)), body)
	}
	require.Equal(t, [3]int{0, 0, 4}, f.written(t), "the same body has one letter")
}

func TestBothEncodingsAndBothSecretsOfARotationAreAccepted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	body := delivery(t, 10, 1)
	require.Equal(t, 200, f.send(t, request{body: body, signature: hex.EncodeToString(sign(secret, body))}).status)
	require.Equal(t, 200, f.send(t, request{body: body, signature: "sha256=" + hex.EncodeToString(sign(secret, body))}).status)

	f.setSecret(t, store.CredentialWebhookSecretBefore, secret)
	f.setSecret(t, store.CredentialWebhookSecret, "rotated")
	require.Equal(t, 200, f.send(t, request{body: body, signature: hex.EncodeToString(sign("rotated", body))}).status, "at once")
	require.Equal(t, 200, f.deliver(t, body), "the one before")
	f.exec(t, `UPDATE credentials SET updated_at = now() - interval '24 hours 1 second' WHERE name = $1`, store.CredentialWebhookSecretBefore)
	f.advance(askedFor)
	require.Equal(t, 401, f.deliver(t, body), "a day is over")
	require.Equal(t, []int64{1}, f.receivedGifts(t), "the same part is one message")
	var isNoted bool
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT last_webhook_at IS NOT NULL FROM virtuous_configs`).Scan(&isNoted))
	require.True(t, isNoted)
}

func TestAnOffboardedOrRemovedCustomersDeliveriesAreRejectedWithinASecond(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.Equal(t, 200, f.deliver(t, delivery(t, 10, 1)))
	f.exec(t, `UPDATE sync_configs SET paused_at = now()`)
	require.Equal(t, 200, f.deliver(t, delivery(t, 10, 2)), "a paused customer's deliveries are stored")
	f.exec(t, `UPDATE sync_configs SET offboarded_at = now()`)
	f.advance(askedFor)
	require.Equal(t, 401, f.deliver(t, delivery(t, 10, 3)))
	f.exec(t, `UPDATE sync_configs SET offboarded_at = NULL`)
	require.Equal(t, 200, f.deliver(t, delivery(t, 10, 2)), "an unknown customer is asked for each time")
	f.exec(t, `UPDATE virtuous_configs SET enabled = false, disabled_reason = 'removed'`)
	f.advance(askedFor)
	require.Equal(t, 401, f.deliver(t, delivery(t, 10, 4)))
	require.Equal(t, []int64{1, 2}, f.receivedGifts(t))
}

func TestOpenedKeysAreKeptForAMinute(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.Equal(t, 200, f.deliver(t, delivery(t, 10, 1)))
	f.exec(t, `CREATE TABLE put_aside AS SELECT sealed_key FROM customer_keys`)
	f.exec(t, `UPDATE customer_keys SET sealed_key = ''`)
	f.advance(keysAge - time.Nanosecond)
	require.Equal(t, 200, f.deliver(t, delivery(t, 10, 2)), "the key service is not asked")
	f.advance(time.Nanosecond)
	require.Equal(t, 503, f.deliver(t, delivery(t, 10, 3)), "the key is opened again")
	f.exec(t, `UPDATE customer_keys SET sealed_key = (SELECT sealed_key FROM put_aside)`)
	require.Equal(t, []int64{1, 2}, f.receivedGifts(t))
}

func TestASlowDatabaseDoesNotUseUpTheTimeOfADelivery(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.Equal(t, 200, f.deliver(t, delivery(t, 10, 1)))
	f.keys.patience = 10 * time.Millisecond
	locked, err := f.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = locked.Exec(t.Context(), `LOCK TABLE virtuous_configs IN ACCESS EXCLUSIVE MODE`)
	require.NoError(t, err)
	require.Equal(t, 200, f.deliver(t, delivery(t, 10, 2)), "what was right a minute ago counts")
	require.NoError(t, locked.Rollback(t.Context()))
	require.Equal(t, []int64{1, 2}, f.receivedGifts(t))
}

func TestBodiesOfOneCustomerLeavePlacesForOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.bodies = newBodies(3, 1, 2, 0) // who finds no place does not wait
	take := func(of string) (release func()) {
		release, err := f.bodies.take(t.Context(), of, true)
		require.NoError(t, err)
		return release
	}
	first, second := take(customer), take(customer)
	require.Equal(t, 503, f.deliver(t, delivery(t, 10, 1)), "its places are taken")
	require.Equal(t, 401, f.send(t, request{customer: "globex", body: delivery(t, 10, 1)}).status, "another has one")
	second()
	require.Equal(t, 200, f.deliver(t, delivery(t, 10, 1)))
	second, third := take("globex"), take("initech")
	require.Equal(t, 503, f.deliver(t, delivery(t, 10, 2)), "all places are taken")
	first()
	second()
	third()
	require.Equal(t, 200, f.deliver(t, delivery(t, 10, 2)))
	require.Empty(t, f.bodies.byCustomer)
	require.Empty(t, f.bodies.all)
}

// Slow senders that invent names must not take the places of customers, nor learn from the answers which names are customers'.
func TestInventedNamesLeavePlacesForCustomers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.bodies = newBodies(4, 2, 1, 0)
	releases := []func(){}
	for _, name := range []string{"invented-1", "invented-2"} {
		release, err := f.bodies.take(t.Context(), name, false)
		require.NoError(t, err)
		releases = append(releases, release)
	}
	invented := f.send(t, request{customer: "invented-3", body: delivery(t, 10, 1)})
	forged := f.send(t, request{customer: customer, body: delivery(t, 10, 1), signature: "forged"})
	require.Equal(t, forged, invented, "the body is not kept, and the answer is the one that it would get")
	require.Equal(t, 401, invented.status)
	require.Equal(t, 503, f.send(t, request{customer: "invented-1", body: delivery(t, 10, 1)}).status, "as for a customer whose places are taken")
	require.Equal(t, 200, f.deliver(t, delivery(t, 10, 1)))
	for _, release := range releases {
		release()
	}
	require.Empty(t, f.bodies.unknown)
	require.Empty(t, f.bodies.all)
}

func TestALargeDeliveryArrivesWhole(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ids := make([]int, 4000)
	want := make([]int64, len(ids))
	for i := range ids {
		ids[i], want[i] = i+1, int64(i+1)
	}
	body := delivery(t, 1500, ids...)
	require.Greater(t, len(body), 6<<20)

	require.Equal(t, 200, f.deliver(t, body))

	require.Equal(t, want, f.receivedGifts(t))
	once := f.written(t)
	require.Equal(t, 200, f.deliver(t, body), "the sender repeats it")
	require.Equal(t, once, f.written(t))
}

func TestARecordThatNoMessageCanHoldGoesIntoTheInbox(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	body := delivery(t, 130<<10, 7)
	require.Equal(t, 200, f.deliver(t, body))
	require.Equal(t, 200, f.deliver(t, body))
	require.Equal(t, [3]int{0, 1, 0}, f.written(t))
	var event, state string
	var sealed []byte
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT event, state, sealed FROM webhook_inbox`).Scan(&event, &state, &sealed))
	require.Equal(t, []string{"gift_create", "waiting"}, []string{event, state})
	require.NotContains(t, string(sealed), canary)
}

func TestWhileNATSIsDownDeliveriesAreAnswered503AndNothingIsLost(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.Equal(t, 200, f.deliver(t, delivery(t, 10, 1)))
	f.nats.Stop()
	require.Equal(t, 503, f.deliver(t, delivery(t, 10, 2)))
	f.nats.Restart(t)
	require.Equal(t, 200, f.deliver(t, delivery(t, 10, 2)), "the sender repeats it")
	require.Equal(t, []int64{1, 2}, f.receivedGifts(t))
}
