package rollcallv1_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// everyMessage returns one of each message type of the package, including types that will be added.
func everyMessage(tb testing.TB) []proto.Message {
	tb.Helper()
	var messages []proto.Message
	protoregistry.GlobalTypes.RangeMessages(func(kind protoreflect.MessageType) bool {
		if kind.Descriptor().ParentFile().Package() == "rollcall.v1" && !kind.Descriptor().IsMapEntry() {
			messages = append(messages, kind.New().Interface())
		}
		return true
	})
	require.GreaterOrEqual(tb, len(messages), 13)
	return messages
}

// FuzzWire checks for every message type: what Decode accepts can be encoded and decoded again without a difference;
// what it rejects has a few errors in our own words, the same each time.
func FuzzWire(f *testing.F) {
	messages := everyMessage(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, message := range messages {
			read, again := fresh(message), fresh(message)
			errs := rollcallv1.Decode(data, read)
			require.Equal(t, errs, rollcallv1.Decode(data, again))
			require.True(t, proto.Equal(read, again))
			require.Less(t, len(errs.Error()), 8<<10)
			validate(read)
			if len(errs) > 0 {
				continue
			}
			written, err := rollcallv1.Encode(read)
			require.NoError(t, err)
			if len(written) > rollcallv1.MaxRequestBytes {
				continue // an abbreviation was written in full
			}
			require.Empty(t, rollcallv1.Decode(written, again), "%s", written)
			require.True(t, proto.Equal(read, again), "%s", written)
		}
	})
}

func fresh(message proto.Message) proto.Message { return message.ProtoReflect().New().Interface() }

// validate calls the checks that a message has; they must return, whatever the input.
func validate(message proto.Message) {
	switch request := message.(type) {
	case *rollcallv1.OnboardingRequest:
		_ = request.Validate("acme", true)
	case *rollcallv1.OffboardRequest:
		_ = request.Validate("acme")
	case *rollcallv1.BackfillRequest:
		_ = request.Validate("acme")
	}
}
