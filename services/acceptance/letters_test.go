package acceptance_test

import (
	"flag"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// The full size, run by hand: go test ./services/acceptance -run ParkedLetters -parked-letters 10000.
var parkedLetters = flag.Int("parked-letters", 1100, "letters of one customer that are due at once")

// makeDue opens letters for a customer's first n users, as if the destination had rejected a version before the mapped one. All
// of them are due now.
func (f *fixture) makeDue(customer string, n int) {
	f.t.Helper()
	_, err := f.pool.Exec(f.t.Context(), `
		INSERT INTO dead_letters (id, customer_id, kind, record_id, source_updated_at, version_hash, original_subject, job, error_code, error_class,
			state, first_failed_at, last_failed_at, next_attempt_at)
		SELECT gen_random_uuid(), customer_id, 'user', vomo_user_id, last_synced_updated_at, version_hash, 'rollcall.dlq.retry.user.' || customer_id,
			'user_sync_poll', 'destination_5xx', 'retryable', 'waiting', now(), rollcall_now(), rollcall_now()
		FROM user_mappings WHERE customer_id = $1 ORDER BY vomo_user_id LIMIT $2`, customer, n)
	require.NoError(f.t, err)
	// Without a mapping, each of these users is written again.
	_, err = f.pool.Exec(f.t.Context(), `DELETE FROM user_mappings m USING dead_letters d
		WHERE m.customer_id = $1 AND d.customer_id = $1 AND d.record_id = m.vomo_user_id AND d.state = 'waiting'`, customer)
	require.NoError(f.t, err)
}

func TestParkedLettersOfOneCustomerDelayNoOtherCustomersLetters(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("big", *parkedLetters)
	f.organisation("small", 60)
	f.start(programOnboarding)
	f.start(programBackfill)
	for _, customer := range []string{"big", "small"} {
		f.onboard(customer)
		f.awaitState(customer, "completed", longest)
	}
	f.start(programPoller)
	f.start(programDLQRetry, map[string]string{"DLQ_SLOTS": "2"})
	f.control(http.MethodPost, "/control/faults", map[string]any{"target": "crm", "tenant": "big", "kind": "latency", "delayMs": 150}, nil)
	f.makeDue("big", *parkedLetters)
	f.await(soon, "those of the big one are being retried", func() bool {
		return f.count(`SELECT count(*) FROM dead_letters WHERE customer_id = 'big' AND state = 'settled'`) > 0
	})

	f.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "crm", "tenant": "small", "kind": "status", "status": 503, "records": []string{"vomo-1007"}, "count": 3,
	}, nil)
	edits := []map[string]any{} // together with accepted users: a page without any accepted record would be the destination's fault
	for id := 1001; id < 1010; id++ {
		edits = append(edits, map[string]any{"id": id, "phone": "+15550000000"})
	}
	f.batch("small", map[string]any{"edits": edits})
	f.publish(bus.SubjectPoll("small"), map[string]any{"customerId": "small"})
	f.await(longest, "the small one's letter has arrived", func() bool {
		return f.count(`SELECT count(*) FROM dead_letters WHERE customer_id = 'small' AND state = 'settled' AND settled_how = 'retried'`) == 1
	})

	left := f.count(`SELECT count(*) FROM dead_letters WHERE customer_id = 'big' AND state = 'waiting'`)
	waited := f.count(`SELECT (1000 * extract(epoch FROM settled_at - first_failed_at))::int FROM dead_letters WHERE customer_id = 'small'`)
	t.Logf("the small customer's letter arrived %d ms after it was opened, beside %d letters of the big one", waited, left)
	require.NotZero(t, left, "the big one's were still waiting")
	require.LessOrEqual(t, waited, 7500, "the letter's delay of 5 s and a tenth of it, plus 2 s") // 5.5 s + 2 s

	f.control(http.MethodDelete, "/control/faults", nil, nil)
	f.await(longest, "all have arrived", func() bool { return f.count(`SELECT count(*) FROM dead_letters WHERE state <> 'settled'`) == 0 })
	f.await(soon, "nothing is shown any more", func() bool { return f.publishedLetters() == 0 })
	require.Equal(t, comparison{Source: *parkedLetters, Destination: *parkedLetters, Same: *parkedLetters}, f.compare("big"))
}

func TestStreamOfLettersIsRestoredFromTable(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	letters := *parkedLetters / 4
	f.organisation("acme", letters)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.onboard("acme")
	f.awaitState("acme", "completed", longest)
	retrier := f.start(programDLQRetry)
	_, err := f.pool.Exec(t.Context(), `UPDATE sync_configs SET paused_at = now()`) // so that all letters stay open
	require.NoError(t, err)
	f.makeDue("acme", letters)
	_, err = f.pool.Exec(t.Context(), `UPDATE dead_letters SET state = 'review', error_class = 'permanent', next_attempt_at = NULL
		WHERE state = 'waiting' AND record_id::bigint % 3 = 0`)
	require.NoError(t, err)
	open := f.count(`SELECT count(*) FROM dead_letters WHERE state <> 'settled'`)
	f.await(soon, "all open letters are shown", func() bool { return f.publishedLetters() == open })
	before := f.letterIDs()
	require.Len(t, before, open)

	require.NoError(t, f.js.DeleteStream(t.Context(), bus.StreamDLQ))
	require.NoError(t, bus.Ensure(t.Context(), f.js, 1, 30*time.Second)) // rollcall migrate
	select {
	case <-retrier.Done(): // the consumer was deleted; the operator starts the service again
	case <-time.After(5 * time.Second):
	}
	retrier.Kill()
	f.start(programDLQRetry)

	f.await(soon, "the same letters are shown", func() bool { return f.publishedLetters() == open })
	require.Equal(t, before, f.letterIDs())
	require.Equal(t, open, f.count(`SELECT count(*) FROM dead_letters WHERE state <> 'settled'`))
}

func TestLettersCanBeReadRetriedAndSettledWithPlainNATSCommand(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 60)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.start(programPoller)
	f.start(programDLQRetry)
	f.control(http.MethodPost, "/control/faults", map[string]any{
		"target": "crm", "kind": "status", "status": 422, "code": "phone_refused", "records": []string{"vomo-1010", "vomo-1011"},
	}, nil)
	f.onboard("acme")
	f.awaitState("acme", "completed", longest)
	f.publish("rollcall.poll.request.acme", []byte(`{"customer":"acme"}`)) // a mistyped name: a message that cannot be read
	f.await(soon, "three letters are shown", func() bool { return f.publishedLetters() == 3 })

	f.control(http.MethodDelete, "/control/faults", nil, nil)
	record := f.events(bus.StreamDLQ, "rollcall.dlq.review.user.acme.*")[0]
	original := record.Headers().Get(bus.HeaderOriginalSubject)
	require.Equal(t, strings.Replace(record.Subject(), "review", "retry", 1), original)
	f.publish(original, record.Data()) // like `nats pub` with the body that was read
	f.await(soon, "it is retried now, and both messages are gone", func() bool { return f.publishedLetters() == 2 })
	require.Equal(t, 1, f.count(`SELECT count(*) FROM dead_letters WHERE settled_how = 'retried'`))

	review, err := f.js.Consumer(t.Context(), bus.StreamDLQ, bus.DurableDLQReview)
	require.NoError(t, err)
	// `nats consumer next ROLLCALL_DLQ dlq-review --ack`, for each letter.
	f.await(soon, "both are settled by hand", func() bool {
		if message, err := review.Next(jetstream.FetchMaxWait(500 * time.Millisecond)); err == nil {
			require.NoError(t, message.DoubleAck(t.Context()))
		}
		return f.count(`SELECT count(*) FROM dead_letters WHERE settled_how = 'by_hand'`) == 2
	})
	f.await(soon, "nothing is left in the stream", func() bool { return f.publishedLetters() == 0 })
	require.Equal(t, 2, f.count(`SELECT count(*) FROM sync_audit WHERE operation = 'dlq_settled_by_hand'`), "and audited")
}

func TestMessageWithoutDeliveriesLeftBecomesLetterThatCanBeRedriven(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 30)
	f.start(programOnboarding)
	f.start(programBackfill)
	f.onboard("acme")
	f.awaitState("acme", "completed", longest)
	f.start(programDLQRetry)
	consumer, err := f.js.Consumer(t.Context(), bus.StreamPoll, bus.DurablePoller)
	require.NoError(t, err)
	config := consumer.CachedInfo().Config
	limited := config
	limited.MaxDeliver = 1
	consumer, err = f.js.UpdateConsumer(t.Context(), bus.StreamPoll, limited)
	require.NoError(t, err)
	f.publish(bus.SubjectPoll("acme"), map[string]any{"customerId": "acme"})
	message, err := consumer.Next()
	require.NoError(t, err)
	require.NoError(t, message.NakWithDelay(10*time.Millisecond))

	f.await(soon, "the message is a letter, and no longer in its stream", func() bool {
		return f.count(`SELECT count(*) FROM dead_letters WHERE kind = 'message' AND state = 'review' AND customer_id = 'acme'`) == 1 &&
			f.subjects(bus.StreamPoll, ">") == 0
	})
	f.await(soon, "it is shown", func() bool { return f.publishedLetters() == 1 })
	letter := f.events(bus.StreamDLQ, "rollcall.dlq.review.message.acme.*")[0]
	require.Equal(t, "rollcall.poll.request.acme", letter.Headers().Get(bus.HeaderOriginalSubject))

	_, err = f.js.UpdateConsumer(t.Context(), bus.StreamPoll, config)
	require.NoError(t, err)
	f.start(programPoller)
	f.afterPolls(soon)
	f.await(soon, "no other request stands in the stream", func() bool { return f.messages(bus.StreamPoll, ">") == 0 })
	polls := f.polls("acme")
	f.publish("rollcall.dlq.retry.message.acme", letter.Data()) // the subject of the version before, which names no letter
	f.await(soon, "it is worked after all", func() bool { return f.polls("acme") > polls })
	f.await(soon, "its letter is settled", func() bool { return f.count(`SELECT count(*) FROM dead_letters WHERE settled_how = 'redriven'`) == 1 })
}
