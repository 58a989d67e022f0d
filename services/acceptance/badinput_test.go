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

// malformed gives the i-th bad message: its subject's customer and its bytes.
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
	h := newHouse(t, fast)
	h.organisation("acme", 30)
	rejected, lettered := 0, 0
	for i := range 1000 {
		customer, payload := malformed(i)
		if i%8 == 7 {
			lettered++
		} else {
			rejected++
		}
		_, err := h.js.PublishAsync(bus.SubjectOnboard(customer), payload)
		require.NoError(t, err)
	}
	<-h.js.PublishAsyncComplete()
	h.onboard("acme")
	h.start(programOnboarding)
	h.start(programBackfill)
	h.start(programDLQRetry)

	h.untilState("acme", "completed", longest)
	h.requireMirrored("acme", 30)
	h.until(soon, "each refused message has its event", func() bool {
		return h.subjects("ROLLCALL_EVENTS", "rollcall.events.onboarding.rejected.*") == rejected
	})
	h.until(soon, "each unreadable customer has its letter", func() bool {
		return h.messages("ROLLCALL_DLQ", "rollcall.dlq.review.message._unknown") == lettered
	})
	require.Equal(t, lettered, h.count(`SELECT count(*) FROM dead_letters WHERE customer_id = '_unknown' AND state = 'review'`))
	require.NotContains(t, h.logs(), "panic")
}

// subjects is how many subjects of a stream match, each with one message.
func (h *house) subjects(name, filter string) int {
	h.t.Helper()
	stream, err := h.js.Stream(h.t.Context(), name)
	require.NoError(h.t, err)
	info, err := stream.Info(h.t.Context(), jetstream.WithSubjectFilter(filter))
	require.NoError(h.t, err)
	for subject, messages := range info.State.Subjects {
		require.EqualValues(h.t, 1, messages, "one rejection: %s", bytes.TrimSpace([]byte(subject)))
	}
	return len(info.State.Subjects)
}
