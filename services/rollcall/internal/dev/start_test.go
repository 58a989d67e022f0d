package dev

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/localserver"
)

func TestServicesGetTheCallersLimitsAndNotTheirServers(t *testing.T) {
	t.Parallel()
	callers := []string{
		"PATH=/bin", "VOMO_REQUESTS_PER_MINUTE=500", "LOG_LEVEL=debug", "LOG_FORMAT=json", "DATABASE_URL=postgres://production",
		"NATS_URL=nats://production", "NATS_CREDS=/etc/creds", "PGHOST=production", "SECRETS_URL=hashivault://production",
	}
	require.Equal(t, []string{
		"PATH=/bin", "VOMO_REQUESTS_PER_MINUTE=500", "LOG_LEVEL=debug", "ALLOW_PRIVATE_DESTINATIONS=true",
		"DATABASE_URL=postgres://here", "LOG_FORMAT=console", "NATS_URL=nats://here", "SECRETS_URL=dev:/d/secrets.key",
		"VIRTUOUS_BASE_URL=http://127.0.0.1:9090/virtuous", "VOMO_BASE_URL=http://127.0.0.1:9090/vomo/v1",
		"WEBHOOK_ADDR=127.0.0.1:9191", "WEBHOOK_PUBLIC_URL=http://127.0.0.1:9191",
	}, environment(callers, own{
		databaseURL: "postgres://here", natsURL: "nats://here", sandbox: "http://127.0.0.1:9090", keyFile: "/d/secrets.key",
		webhooks: "127.0.0.1:9191",
	}))
}

// takePort listens on a port until the test ends.
func takePort(t *testing.T) int {
	t.Helper()
	port, err := localserver.FreePort()
	require.NoError(t, err)
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", loopback(port))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, listener.Close()) })
	return port
}

func TestTakenPortIsReplacedUnlessItWasRequested(t *testing.T) {
	t.Parallel()
	taken := takePort(t)
	free, err := localserver.FreePort()
	require.NoError(t, err)

	port, err := choosePort(0, 0, taken)
	require.NoError(t, err)
	require.Greater(t, port, taken)
	port, err = choosePort(0, free, taken)
	require.NoError(t, err)
	require.Equal(t, free, port, "that of the last time goes first")
	_, err = choosePort(taken, free, free)
	require.ErrorIs(t, err, errPortTaken)
}

func TestSandboxUsesItsPortAgainWhenItIsFree(t *testing.T) {
	t.Parallel()
	f, err := openFolder(t.TempDir(), 1_000)
	require.NoError(t, err)
	shown, taken := &testScreen{}, takePort(t)
	f.memory.SandboxPort = taken
	f.memory.NATSPort, err = localserver.FreePort()
	require.NoError(t, err)
	s := &stack{folder: f, screen: newScreen(shown, shown, false)}
	require.NoError(t, s.choosePorts(options{}))
	require.NotEqual(t, taken, s.sandboxPort)
	require.Equal(t, taken, f.memory.SandboxPort, "customers have their destination there")
	require.Contains(t, shown.String(), "is taken: the sandbox listens on")
	require.Contains(t, shown.String(), "have their destination there")
	require.NoError(t, f.lock.release())
}

func TestMissingProgramIsNamedWithARemedy(t *testing.T) {
	t.Parallel()
	bin, dir := t.TempDir(), filepath.Join(t.TempDir(), ".rollcall")
	require.NoError(t, os.WriteFile(filepath.Join(bin, sandboxName), nil, 0o700))
	err := run(t.Context(), nil, options{dir: dir, bin: bin, users: 1}, newScreen(&testScreen{}, &testScreen{}, true), nil)
	require.ErrorIs(t, err, errNotBuilt)
	require.ErrorContains(t, err, "there is no program onboarding in "+bin)
	require.NoDirExists(t, dir, "nothing was made")
}

func TestFirstSignalEndsTheWorkAndSecondHurries(t *testing.T) {
	t.Parallel()
	signals := make(chan os.Signal)
	ctx, hurry, stop := obey(t.Context(), signals)
	defer stop()
	require.NoError(t, interruption(ctx))
	signals <- os.Interrupt
	<-ctx.Done()
	require.ErrorIs(t, interruption(ctx), errInterrupted)
	select {
	case <-hurry:
		require.Fail(t, "one signal is no reason to hurry")
	default:
	}
	signals <- os.Interrupt
	<-hurry
}

func TestDeadlineDiffersFromAnInterrupt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Nanosecond, errTooLate)
	defer cancel()
	<-ctx.Done()
	require.ErrorIs(t, interruption(ctx), errTooLate)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, interruption(canceled), errInterrupted)
}

func TestFlagsOutOfRangeAreRejected(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--users", "0"}, {"--users", "1000001"}, {"--nats-port", "-1"}, {"--sandbox-port", "65536"}, {"--deadline", "0s"},
		{"--dir", ""}, {"--quiet", "--verbose"}, {"surplus"}, {"--demo", "--demo-giving"}, {"--demo-giving", "--dir", "here"},
	} {
		command := Command(nil)
		command.SetArgs(args)
		command.SetOut(&testScreen{})
		command.SetErr(&testScreen{})
		require.Error(t, command.ExecuteContext(t.Context()), args)
	}
}
