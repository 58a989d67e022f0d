package job_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
)

func TestRepublicationMakesNoLookUpsAndStopsAfterEnoughBusyRequests(t *testing.T) {
	t.Parallel()
	server := testkit.NATS(t)
	js := server.JetStream(t)
	require.NoError(t, bus.Ensure(t.Context(), js, 1, 30*time.Second))
	var lookUps atomic.Int32
	for _, subject := range []string{"$JS.API.DIRECT.GET.>", "$JS.API.STREAM.MSG.GET.>"} {
		_, err := server.Conn(t).Subscribe(subject, func(*nats.Msg) { lookUps.Add(1) })
		require.NoError(t, err)
	}
	const unattended = 2500
	names := ids(unattended)
	var from []int64
	republish := &job.Republish{
		Publisher: &bus.Publisher{JetStream: js, Logger: zap.NewNop()}, Message: job.PollMessage,
		Unattended: func(_ context.Context, after int64, limit int32) (runs []store.RunRef, _ error) {
			from = append(from, after)
			for id := after + 1; id <= unattended && len(runs) < int(limit); id++ {
				runs = append(runs, store.RunRef{ID: id, Customer: "c" + names[id-1]})
			}
			return runs, nil
		},
	}
	round := func(asked int) {
		t.Helper()
		began := time.Now()
		got, err := republish.Round(t.Context())
		require.NoError(t, err)
		t.Logf("asked for %d runs in %s", got, time.Since(began))
		require.Equal(t, asked, got)
	}

	round(unattended) // the stream was lost: all are asked for in one round
	round(1000)       // they stand in the stream: a bound
	from = nil
	round(1000)
	require.Equal(t, []int64{1000, 1500}, from, "a round goes on where the one before ended")
	round(500)
	round(1000) // from the first on
	require.Zero(t, lookUps.Load())
}
