package main

import (
	"context"
	"fmt"
	"strings"
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
	core, entries := observer.New(zapcore.InfoLevel)
	s := &service.Service{
		Store: f.store, Vault: f.vault, Conn: server.Conn(t), JetStream: js, Config: config.Config{VirtuousTransactionSource: "AcmeGive"},
		Logger: zap.New(core, zap.Hooks(func(entry zapcore.Entry) error {
			if strings.HasPrefix(entry.Message, "donation ") || strings.HasPrefix(entry.Message, "contact ") {
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
	publishOn := func(subject string, message []byte, outcome string) {
		_, err := js.Publish(t.Context(), subject, message)
		require.NoError(t, err)
		logged.Require(t, time.Minute, outcome)
	}
	publish := func(id string, changed map[string]any, outcome string) {
		publishOn(bus.SubjectDonation(customer), donation(t, id, changed), outcome)
	}
	timed := func(changed map[string]any) map[string]any {
		changed["modifiedAt"] = time.Now().UTC().Format(time.RFC3339)
		return changed
	}

	publish("don-1", to("NOT-THERE"), "donation captured") // there is no list yet
	publish("don-2", nil, "donation captured")
	f.settle(t)
	f.advance(t, time.Minute)
	publish("don-3", to("NOT-THERE"), "donation rejected")
	publish("don-4", to("GENERAL"), "donation captured")
	publishOn(bus.SubjectContact(customer), contact(t, "ana", timed(map[string]any{})), "contact captured")
	publishOn(bus.SubjectContact(customer), contact(t, "ana", timed(map[string]any{"email": "ana.ruiz"})), "contact rejected")
	publishOn(bus.SubjectContact(customer), contact(t, "ana", map[string]any{"email": "ana.ruiz@example.com", "modifiedAt": nil}), "contact replaced")
	stop()
	require.NoError(t, <-ended)
	f.settle(t)

	require.Equal(t, []string{"don-1 failed", "don-2 submitted", "don-4 submitted"}, f.states(t))
	require.Equal(t, []string{"don-3 donation_invalid review"}, f.letters(t))
	require.Equal(t, []string{"ana submitted"}, f.contactStates(t))
	require.Equal(t, []string{"donation.failed", "donation.rejected", "contact.rejected"}, f.events(t))
	require.Equal(t, 2, f.projectRequests(t))
	require.Empty(t, server.FilesWith(t, []byte("ana.ruiz"), []byte("Ruiz"), []byte("NOT-THERE")))
	for _, entry := range entries.All() {
		require.NotRegexp(t, "ruiz|Ruiz|NOT-THERE", fmt.Sprint(entry.Message, entry.ContextMap()))
	}
}
