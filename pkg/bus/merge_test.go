package bus

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

func TestReplicasAreRaisedAndOnlyLoweredOnRequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		have, want int
		lower      bool
		then       int
	}{{1, 3, false, 3}, {3, 1, false, 3}, {3, 1, true, 1}, {5, 3, false, 5}, {3, 3, true, 3}} {
		merged := mergedStream(jetstream.StreamConfig{Replicas: c.have}, jetstream.StreamConfig{Replicas: c.want}, c.lower)
		require.Equal(t, c.then, merged.Replicas, c)
	}
}
