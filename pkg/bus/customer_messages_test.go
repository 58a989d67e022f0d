package bus_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// subjectsOf returns one subject of the customer for each subject pattern of each stream, with the stream.
func subjectsOf(customer string) map[string]string {
	subjects := map[string]string{}
	for _, config := range bus.StreamConfigs(1) {
		if config.Name == bus.StreamOnboarding || config.Name == bus.StreamAdvisories {
			continue
		}
		for _, pattern := range config.Subjects {
			tokens := strings.Split(pattern, ".")
			last := len(tokens) - 1
			if config.Name == bus.StreamDLQ && strings.Count(pattern, "*") == 3 {
				last-- // the letter follows
			}
			for i, token := range tokens {
				if token == "*" {
					tokens[i] = "x"
				}
			}
			tokens[last] = customer
			subjects[strings.Join(tokens, ".")] = config.Name
		}
	}
	subjects[bus.SubjectEvent("user.created", customer)] = bus.StreamEvents
	return subjects
}

func TestPurgeLeavesNoMessageOfTheCustomerInAnyStream(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	messages := bus.CustomerMessages{JetStream: js}
	expected := map[string]uint64{}
	for _, customer := range []string{"acme", "acme-2", "x"} {
		for subject, stream := range subjectsOf(customer) {
			_, err := js.Publish(bounded(t), subject, []byte(`{}`))
			require.NoError(t, err, subject)
			if customer == "acme" {
				expected[stream]++
			}
		}
	}
	counts, err := messages.Count(bounded(t), "acme")
	require.NoError(t, err)
	require.Equal(t, expected, counts, "a stream without its subjects in messagesOf keeps its messages after an offboarding")

	_, err = messages.Purge(bounded(t), "acme")
	require.NoError(t, err)

	counts, err = messages.Count(bounded(t), "acme")
	require.NoError(t, err)
	require.Empty(t, counts)
	counts, err = messages.Count(bounded(t), "acme-2")
	require.NoError(t, err)
	require.Equal(t, expected, counts, "messages of others stay")
}

func TestEraseInClearLeavesNoBytes(t *testing.T) {
	t.Parallel()
	server, js := ensured(t)
	messages := bus.CustomerMessages{JetStream: js}
	inClear := []string{bus.SubjectEvent("user.created", "acme"), bus.SubjectEvent("user.updated", "acme"), "rollcall.writeback.user.acme"}
	for range 3 {
		for _, subject := range inClear {
			_, err := js.Publish(bounded(t), subject, []byte(`{"vomoUserId":"1","user":{"first_name":"`+secret+`"}}`))
			require.NoError(t, err)
		}
		for _, customer := range []string{"acme", "globex"} {
			_, err := js.Publish(bounded(t), bus.SubjectEvent("user.created", customer), []byte(`{"vomoUserId":"1"}`))
			require.NoError(t, err)
		}
	}
	server.Restart(t)
	require.NotEmpty(t, server.FilesWith(t, []byte(secret)), "the test looks in the wrong place")

	erased, done, err := messages.EraseInClear(bounded(t), "acme", 4)
	require.NoError(t, err)
	require.Equal(t, 4, erased)
	require.False(t, done)
	erased, done, err = messages.EraseInClear(bounded(t), "acme", 100)
	require.NoError(t, err)
	require.Equal(t, 5, erased)
	require.True(t, done)

	require.Empty(t, server.FilesWith(t, []byte(secret)))
	server.Restart(t)
	require.Empty(t, server.FilesWith(t, []byte(secret)))
	stream, err := js.Stream(bounded(t), bus.StreamEvents)
	require.NoError(t, err)
	require.Equal(t, uint64(6), stream.CachedInfo().State.Msgs, "events without a record are left to the purge")
}

func TestPurgeOfAStreamThatDeniesItIsNotErasable(t *testing.T) {
	t.Parallel()
	_, js := ensured(t)
	stream, err := js.Stream(bounded(t), bus.StreamEvents)
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	config.DenyPurge, config.DenyDelete = true, true
	_, err = js.UpdateStream(bounded(t), config)
	require.NoError(t, err)
	for _, subject := range []string{bus.SubjectEvent("user.created", "acme"), bus.SubjectAlert("high", "poll_stalled", "acme")} {
		_, err := js.Publish(bounded(t), subject, []byte(`{"user":{}}`))
		require.NoError(t, err)
	}
	messages := bus.CustomerMessages{JetStream: js}

	_, _, err = messages.EraseInClear(bounded(t), "acme", 10)
	require.ErrorIs(t, err, bus.ErrNotErasable)
	_, err = messages.Purge(bounded(t), "acme")
	require.ErrorIs(t, err, bus.ErrNotErasable)

	counts, err := messages.Count(bounded(t), "acme")
	require.NoError(t, err)
	require.Equal(t, map[string]uint64{bus.StreamEvents: 1}, counts, "the alerts are purged all the same")
}
