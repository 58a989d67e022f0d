package acceptance_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// malformed returns the i-th invalid message: the customer of its subject, and its payload.
func malformed(i int) (customer string, payload []byte) {
	customer = fmt.Sprintf("bad-%d", i)
	switch i % 8 {
	case 0:
		return customer, []byte("this is not JSON")
	case 1:
		return customer, fmt.Appendf(nil, `{"customerId":%q,"vomoToken":17,"externalSystemUrl":["x"],"pollCadenceMinutes":"often"}`, customer)
	case 2:
		return customer, fmt.Appendf(nil, `{"customerId":%q,"vomoToken":%q}`, customer, strings.Repeat("x", 200<<10))
	case 3:
		return customer, []byte(`{"customerId":"another","vomoToken":"t","externalSystemUrl":"http://198.51.100.7/crm"}`)
	case 4:
		return customer, fmt.Appendf(nil, `{"customerId":%q,"vomoToken":"t`+"\xff\xfe"+`"}`, customer)
	case 5:
		return customer, nil
	case 6:
		return customer, fmt.Appendf(nil, `{"customerId":%q,"vomoToken":"t","externalSystemUrl":"ftp://files.example/crm"}`, customer)
	default:
		return fmt.Sprintf("Bad!Id=%d", i), []byte(`{"customerId":"Bad!Id","vomoToken":"t"}`)
	}
}

func TestThousandMalformedMessagesDelayNoCustomer(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.organisation("acme", 30)
	rejected, lettered := 0, 0
	for i := range 1000 {
		customer, payload := malformed(i)
		if i%8 == 7 {
			lettered++
		} else {
			rejected++
		}
		_, err := f.js.PublishAsync(bus.SubjectOnboard(customer), payload)
		require.NoError(t, err)
	}
	<-f.js.PublishAsyncComplete()
	f.onboard("acme")
	f.start(programOnboarding)
	f.start(programBackfill)
	f.start(programDLQRetry)

	f.awaitState("acme", "completed", longest)
	f.requireMirrored("acme", 30)
	f.await(soon, "each refused message has its event", func() bool {
		return f.subjects("ROLLCALL_EVENTS", "rollcall.events.onboarding.rejected.*") == rejected
	})
	f.await(soon, "each unreadable customer has its letter", func() bool {
		return f.messages("ROLLCALL_DLQ", "rollcall.dlq.review.message._unknown.*") == lettered
	})
	require.Equal(t, lettered, f.count(`SELECT count(*) FROM dead_letters WHERE customer_id = '_unknown' AND state = 'review'`))
	require.NotContains(t, f.logs(), "panic")
}

// subjects returns how many subjects of a stream match. Each has one message.
func (f *fixture) subjects(name, filter string) int {
	f.t.Helper()
	stream, err := f.js.Stream(f.t.Context(), name)
	require.NoError(f.t, err)
	info, err := stream.Info(f.t.Context(), jetstream.WithSubjectFilter(filter))
	require.NoError(f.t, err)
	for subject, messages := range info.State.Subjects {
		require.EqualValues(f.t, 1, messages, "one rejection: %s", bytes.TrimSpace([]byte(subject)))
	}
	return len(info.State.Subjects)
}
