package acceptance_test

import (
	"flag"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// By hand, in full: go test ./services/acceptance -run ParkedLetters -parked-letters 10000.
var parkedLetters = flag.Int("parked-letters", 1500, "letters of one customer that are due at once")

// due opens letters for a customer's first n users, as if each had been refused in a version before the mapping's, all
// of them due now.
func (h *house) due(customer string, n int) {
	h.t.Helper()
	_, err := h.pool.Exec(h.t.Context(), `
		INSERT INTO dead_letters (id, customer_id, kind, record_id, source_updated_at, version_hash, original_subject, job, error_code, error_class,
			state, first_failed_at, last_failed_at, next_attempt_at)
		SELECT gen_random_uuid(), customer_id, 'user', vomo_user_id, last_synced_updated_at, version_hash, 'rollcall.dlq.retry.user.' || customer_id,
			'user_sync_poll', 'destination_5xx', 'retryable', 'waiting', now(), rollcall_now(), rollcall_now()
		FROM user_mappings WHERE customer_id = $1 ORDER BY vomo_user_id LIMIT $2`, customer, n)
	require.NoError(h.t, err)
	// Without a mapping each of them is written again.
	_, err = h.pool.Exec(h.t.Context(), `DELETE FROM user_mappings m USING dead_letters d
		WHERE m.customer_id = $1 AND d.customer_id = $1 AND d.record_id = m.vomo_user_id AND d.state = 'waiting'`, customer)
	require.NoError(h.t, err)
}

func TestParkedLettersOfOneCustomerDelayNoOtherCustomersLetters(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("big", *parkedLetters)
	h.organisation("small", 60)
	h.start(programOnboarding)
	h.start(programBackfill)
	for _, customer := range []string{"big", "small"} {
		h.onboard(customer)
		h.untilState(customer, "completed", longest)
	}
	h.start(programPoller)
	h.start(programDLQRetry, map[string]string{"DLQ_SLOTS": "2"})
	h.control(http.MethodPost, "/control/faults", map[string]any{"target": "crm", "tenant": "big", "kind": "latency", "delayMs": 150}, nil)
	h.due("big", *parkedLetters)
	h.until(soon, "those of the big one are being retried", func() bool {
		return h.count(`SELECT count(*) FROM dead_letters WHERE customer_id = 'big' AND state = 'settled'`) > 0
	})

	h.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "crm", "tenant": "small", "kind": "status", "status": 503, "records": []string{"vomo-1007"}, "count": 3,
	}, nil)
	edits := []map[string]any{} // beside others who are taken: one that fails alone would be the destination's fault
	for id := 1001; id < 1010; id++ {
		edits = append(edits, map[string]any{"id": id, "phone": "+15550000000"})
	}
	h.batch("small", map[string]any{"edits": edits})
	h.publish(bus.SubjectPoll("small"), map[string]any{"customerId": "small"})
	h.until(longest, "the small one's letter has arrived", func() bool {
		return h.count(`SELECT count(*) FROM dead_letters WHERE customer_id = 'small' AND state = 'settled' AND settled_how = 'retried'`) == 1
	})

	left := h.count(`SELECT count(*) FROM dead_letters WHERE customer_id = 'big' AND state = 'waiting'`)
	waited := h.count(`SELECT (1000 * extract(epoch FROM settled_at - first_failed_at))::int FROM dead_letters WHERE customer_id = 'small'`)
	t.Logf("the small customer's letter arrived %d ms after it was opened, beside %d letters of the big one", waited, left)
	require.NotZero(t, left, "the big one's were still waiting")
	require.LessOrEqual(t, waited, 7500, "its own delay of 5 s with a tenth to spare, and 2 s") // 5.5 s + 2 s

	h.control(http.MethodDelete, "/control/faults", nil, nil)
	h.until(longest, "all have arrived", func() bool { return h.count(`SELECT count(*) FROM dead_letters WHERE state <> 'settled'`) == 0 })
	h.until(soon, "nothing is shown any more", func() bool { return h.shown() == 0 })
	require.Equal(t, comparison{Source: *parkedLetters, Destination: *parkedLetters, Same: *parkedLetters}, h.compare("big"))
}

func TestTheStreamOfLettersIsMadeAnewFromTheTable(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", *parkedLetters)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.onboard("acme")
	h.untilState("acme", "completed", longest)
	retrier := h.start(programDLQRetry)
	_, err := h.pool.Exec(t.Context(), `UPDATE sync_configs SET paused_at = now()`) // so that all of them stay open
	require.NoError(t, err)
	h.due("acme", *parkedLetters)
	_, err = h.pool.Exec(t.Context(), `UPDATE dead_letters SET state = 'review', error_class = 'permanent', next_attempt_at = NULL
		WHERE state = 'waiting' AND record_id::bigint % 3 = 0`)
	require.NoError(t, err)
	open := h.count(`SELECT count(*) FROM dead_letters WHERE state <> 'settled'`)
	h.until(soon, "all open letters are shown", func() bool { return h.shown() == open })
	before := h.letterIDs()
	require.Len(t, before, open)

	require.NoError(t, h.js.DeleteStream(t.Context(), bus.StreamDLQ))
	require.NoError(t, bus.Ensure(t.Context(), h.js, 1, 30*time.Second)) // rollcall migrate
	select {
	case <-retrier.Done(): // its consumer is gone; the operator starts it again
	case <-time.After(5 * time.Second):
	}
	retrier.Kill()
	h.start(programDLQRetry)

	h.until(soon, "the same letters are shown", func() bool { return h.shown() == open })
	require.Equal(t, before, h.letterIDs())
	require.Equal(t, open, h.count(`SELECT count(*) FROM dead_letters WHERE state <> 'settled'`))
}

func TestAnOperatorWorksLettersWithThePlainCommandOfNATS(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 60)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.start(programPoller)
	h.start(programDLQRetry)
	h.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "crm", "kind": "status", "status": 422, "code": "phone_refused", "records": []string{"vomo-1010", "vomo-1011"},
	}, nil)
	h.onboard("acme")
	h.untilState("acme", "completed", longest)
	h.publish("rollcall.poll.request.acme", []byte(`{"customer":"acme"}`)) // a mistyped name: a message that cannot be read
	h.until(soon, "three letters are shown", func() bool { return h.shown() == 3 })

	h.control(http.MethodDelete, "/control/faults", nil, nil)
	record := h.events(bus.StreamDLQ, "rollcall.dlq.review.user.acme")[0]
	original := record.Headers().Get(bus.HeaderOriginalSubject)
	require.Equal(t, "rollcall.dlq.retry.user.acme", original)
	h.publish(original, record.Data()) // as `nats pub` would, with the body as it was read
	h.until(soon, "it is retried now, and both messages are gone", func() bool { return h.shown() == 2 })
	require.Equal(t, 1, h.count(`SELECT count(*) FROM dead_letters WHERE settled_how = 'retried'`))

	review, err := h.js.Consumer(t.Context(), bus.StreamDLQ, bus.DurableDLQReview)
	require.NoError(t, err)
	// `nats consumer next ROLLCALL_DLQ dlq-review --ack`, for each that is there.
	h.until(soon, "both are settled by hand", func() bool {
		if message, err := review.Next(jetstream.FetchMaxWait(500 * time.Millisecond)); err == nil {
			require.NoError(t, message.DoubleAck(t.Context()))
		}
		return h.count(`SELECT count(*) FROM dead_letters WHERE settled_how = 'by_hand'`) == 2
	})
	h.until(soon, "nothing is left in the stream", func() bool { return h.shown() == 0 })
	require.Equal(t, 2, h.count(`SELECT count(*) FROM sync_audit WHERE operation = 'dlq_settled_by_hand'`), "and audited")
}

func TestAMessageThatRanOutOfDeliveriesIsALetterWithItsPayloadAndCanBeRedriven(t *testing.T) {
	t.Parallel()
	h := newHouse(t, fast)
	h.organisation("acme", 30)
	h.start(programOnboarding)
	h.start(programBackfill)
	h.onboard("acme")
	h.untilState("acme", "completed", longest)
	h.start(programDLQRetry)
	consumer, err := h.js.Consumer(t.Context(), bus.StreamPoll, bus.DurablePoller)
	require.NoError(t, err)
	config := consumer.CachedInfo().Config
	limited := config
	limited.MaxDeliver = 1
	consumer, err = h.js.UpdateConsumer(t.Context(), bus.StreamPoll, limited)
	require.NoError(t, err)
	h.publish(bus.SubjectPoll("acme"), map[string]any{"customerId": "acme"})
	message, err := consumer.Next()
	require.NoError(t, err)
	require.NoError(t, message.NakWithDelay(10*time.Millisecond))

	h.until(soon, "the message is a letter, and no longer in its stream", func() bool {
		return h.count(`SELECT count(*) FROM dead_letters WHERE kind = 'message' AND state = 'review' AND customer_id = 'acme'`) == 1 &&
			h.subjects(bus.StreamPoll, ">") == 0
	})
	h.until(soon, "it is shown", func() bool { return h.shown() == 1 })
	letter := h.events(bus.StreamDLQ, "rollcall.dlq.review.message.acme")[0]
	require.Equal(t, "rollcall.poll.request.acme", letter.Headers().Get(bus.HeaderOriginalSubject))

	_, err = h.js.UpdateConsumer(t.Context(), bus.StreamPoll, config)
	require.NoError(t, err)
	h.start(programPoller)
	h.afterPolls(soon)
	h.until(soon, "no other request stands in the stream", func() bool { return h.messages(bus.StreamPoll, ">") == 0 })
	polls := h.polls("acme")
	h.publish("rollcall.dlq.retry.message.acme", letter.Data())
	h.until(soon, "it is worked after all", func() bool { return h.polls("acme") > polls })
	h.until(soon, "its letter is settled", func() bool { return h.count(`SELECT count(*) FROM dead_letters WHERE settled_how = 'redriven'`) == 1 })
}
