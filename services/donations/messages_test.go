package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/worker"
)

func TestPublishedDonationsAreCheckedCapturedOrRejectedAndErased(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	server := testkit.NATS(t)
	js := server.JetStream(t)
	require.NoError(t, bus.Ensure(t.Context(), js, 1, time.Minute))
	logged := testkit.NewSignal[string]()
	core, _ := observer.New(zapcore.InfoLevel)
	s := &service.Service{
		Store: f.store, Vault: f.vault, Conn: server.Conn(t), JetStream: js, Config: config.Config{VirtuousTransactionSource: "AcmeGive"},
		Logger: zap.New(core, zap.Hooks(func(entry zapcore.Entry) error {
			if entry.Message == "donation captured" || entry.Message == "donation rejected" {
				logged.Send(entry.Message)
			}
			return nil
		})),
	}
	capturing, err := donationWorker(t.Context(), s, f.submitter.virtuous, f.projects, worker.NewMetrics(f.registry), func() {})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	var running sync.WaitGroup
	running.Go(func() { ended <- capturing.Run(ctx) })
	defer running.Wait()
	defer stop()
	publish := func(id string, changed map[string]any, outcome string) {
		_, err := js.Publish(t.Context(), bus.SubjectDonation(customer), donation(t, id, changed))
		require.NoError(t, err)
		logged.Require(t, time.Minute, outcome)
	}

	publish("don-1", to("NOT-THERE"), "donation captured") // there is no list yet
	publish("don-2", nil, "donation captured")
	f.settle(t)
	f.advance(t, time.Minute)
	publish("don-3", to("NOT-THERE"), "donation rejected")
	publish("don-4", to("GENERAL"), "donation captured")
	stop()
	require.NoError(t, <-ended)
	f.settle(t)

	require.Equal(t, []string{"don-1 failed", "don-2 submitted", "don-4 submitted"}, f.states(t))
	require.Equal(t, []string{"don-3 donation_invalid review"}, f.letters(t))
	require.Equal(t, []string{"donation.failed", "donation.rejected"}, f.events(t))
	require.Equal(t, 2, f.projectRequests(t))
	require.Empty(t, server.FilesWith(t, []byte("ana.ruiz"), []byte("Ruiz"), []byte("NOT-THERE")))
}
