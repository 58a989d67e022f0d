package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
)

// More by hand: go test ./services/onboarding -run MessageOrders -message-orders 300.
var messageOrders = flag.Int("message-orders", 10, "customers whose messages are delivered in a random order")

// Each customer gets onboarding and offboarding messages, delivered in a random order and at once, while two replicas settle requests and
// work offboardings. Whatever the order, the newest message decides, and its token can be opened.
func TestNewestMessageDecidesInAllMessageOrders(t *testing.T) {
	t.Parallel()
	f := newSettlerFixture(t, "2026-01-15T00:00:00Z")
	f.erase = func(context.Context, uint64) error { return nil }
	const messages = 5
	type sent struct {
		customer string
		sequence uint64
		offboard bool
	}
	var all []sent
	last := map[string]sent{}
	for n := range *messageOrders {
		for i := range messages {
			message := sent{customer: fmt.Sprint("acme-", n), sequence: uint64(n*messages + i + 1), offboard: rand.N(2) == 0}
			all, last[message.customer] = append(all, message), message
		}
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })

	working, stop := context.WithCancel(t.Context())
	var replicas sync.WaitGroup
	defer replicas.Wait()
	defer stop()
	for range 2 {
		replicas.Go(func() {
			for working.Err() == nil {
				if pending, err := f.store.ClaimDueRequest(working, claimHold); err == nil && f.settler.settle(working, pending) != nil {
					f.settler.release(working, pending)
				}
				f.offboarder.workNext(working)
			}
		})
	}
	deliveries := make(chan sent)
	failures := make(chan error, len(all))
	var delivering sync.WaitGroup
	for range 4 {
		delivering.Go(func() {
			for message := range deliveries {
				subject, body := bus.SubjectOffboard(message.customer), `{"customerId":"`+message.customer+`"}`
				if !message.offboard {
					subject = bus.SubjectOnboard(message.customer)
					body = fmt.Sprintf(`{"customerId":%q,"vomoToken":"token-%d","externalSystemUrl":"http://127.0.0.1:1/crm"}`, message.customer, message.sequence)
				}
				failures <- f.handle(t.Context(), &worker.Delivery{
					Subject: subject, Data: []byte(body), Stream: bus.StreamOnboarding, Sequence: message.sequence, Deliveries: 1,
				})
			}
		})
	}
	for _, message := range all {
		deliveries <- message
	}
	close(deliveries)
	delivering.Wait()
	close(failures)
	for err := range failures {
		require.ErrorIs(t, err, worker.ErrSettled)
	}
	require.Eventually(t, func() bool {
		f.advance(t, "1 second")
		return f.count(t, inState+`'pending'`) == 0 && f.count(t, `SELECT count(*) FROM offboardings WHERE step IN ('blank_records', 'erase_messages')`) == 0
	}, time.Minute, 50*time.Millisecond)

	for id, message := range last {
		customer, err := f.store.Customer(t.Context(), id)
		known := !errors.Is(err, store.ErrNotFound)
		if message.offboard {
			require.False(t, known && customer.Active(), "%+v", message)
			_, err := f.store.CustomerKey(t.Context(), id)
			require.ErrorIs(t, err, store.ErrNotFound, "%+v", message)
			continue
		}
		require.True(t, known && customer.Active(), "%+v", message)
		sealed, err := f.store.Credential(t.Context(), id, store.CredentialVomoToken)
		require.NoError(t, err)
		token, err := f.vault.Open(t.Context(), id, store.CredentialVomoToken, sealed)
		require.NoError(t, err, "%+v", message)
		require.Equal(t, fmt.Sprint("token-", message.sequence), string(token))
	}
}
