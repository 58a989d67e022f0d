package cli

import (
	"context"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const vomoToken = "vomo-secret-0123456789"

// onboardingService stands in for the onboarding service: it has a key pair, and opens sealed tokens.
type onboardingService struct {
	*fixture
	stream jetstream.Stream
	key    nkeys.KeyPair
}

func newOnboardingService(t *testing.T) *onboardingService {
	t.Helper()
	f := newFixture(t)
	key, err := nkeys.CreateCurveKeys()
	require.NoError(t, err)
	public, err := key.PublicKey()
	require.NoError(t, err)
	f.answers("key", "get", always(operatorapi.KeyReply{PublicKey: public}))
	f.configAnswer = unknown
	f.answers("config", "get", func(n int, question []byte) (any, string) { return f.configAnswer(n, question) })
	return &onboardingService{fixture: f, stream: f.onboardingStream(), key: key}
}

// request returns the first published request.
func (s *onboardingService) request() *rollcallv1.OnboardingRequest {
	s.t.Helper()
	message := s.message(s.stream, 1)
	require.Equal(s.t, "rollcall.onboarding.request.acme", message.Subject)
	request := &rollcallv1.OnboardingRequest{}
	require.Empty(s.t, rollcallv1.Decode(message.Data, request))
	require.Empty(s.t, request.Validate("acme", false))
	return request
}

func (s *onboardingService) open(sealed string) string {
	s.t.Helper()
	sender, box, found := strings.Cut(sealed, ".")
	require.True(s.t, found)
	raw, err := base64.RawURLEncoding.DecodeString(box)
	require.NoError(s.t, err)
	plain, err := s.key.Open(raw, sender)
	require.NoError(s.t, err)
	return string(plain)
}

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(path, []byte(token+"\n"), 0o600))
	return path
}

func TestTokenFromEverySourceIsSealed(t *testing.T) {
	t.Parallel()
	sources := map[string]func(process *Process) []string{
		"a file": func(*Process) []string { return []string{"--vomo-token-file", tokenFile(t, vomoToken)} },
		"standard input": func(p *Process) []string {
			p.Stdin = strings.NewReader(vomoToken + "\r\n")
			return []string{"--vomo-token-file", "-"}
		},
		"the environment": func(p *Process) []string {
			p.Environ = append(p.Environ, "VOMO_TOKEN="+vomoToken)
			return nil
		},
		"a flag": func(*Process) []string { return []string{"--vomo-token", vomoToken} },
		"a prompt": func(p *Process) []string {
			p.StdinTerminal = true
			p.ReadSecretFunc = func(context.Context) (string, error) { return vomoToken, nil }
			return nil
		},
	}
	for name, prepare := range sources {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newOnboardingService(t)
			args := append([]string{"onboard", "acme", "--url", "https://crm.example/api"}, prepare(&s.process)...)
			got := s.run(args...)
			require.Zero(t, got.code, got.stderr)
			require.Equal(t, "acme: published as message 1 of ROLLCALL_ONBOARDING\n", got.stdout)
			require.NotContains(t, got.stdout+got.stderr, vomoToken)
			require.NotContains(t, string(s.message(s.stream, 1).Data), vomoToken)
			require.Equal(t, vomoToken, s.open(s.request().GetVomoTokenSealed()))
		})
	}
}

func TestEveryFlagReachesTheRequest(t *testing.T) {
	t.Parallel()
	s := newOnboardingService(t)
	s.process.Stdin = strings.NewReader("crm-secret")
	got := s.run("onboard", "acme", "--vomo-token-file", tokenFile(t, vomoToken), "--destination-url", "https://crm.example/api",
		"--destination-token-file", "-", "--cadence", "15", "--admin-email", "it@acme.example", "--rps", "2.5", "--rpm", "0",
		"--not-before", "2026-11-20T23:00:00+01:00",
		"--quiet-hours", "08:00-18:00 America/Chicago", "--quiet-days", "mon,fri", "--json")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, uint64(1), document[onboardedDocument](t, got).Sequence)
	request := s.request()
	require.Equal(t, "2026-11-20T22:00:00Z", request.GetBackfillNotBefore().AsTime().Format(time.RFC3339))
	require.Equal(t, []string{"08:00", "18:00", "America/Chicago"},
		[]string{request.GetQuietHours().GetFrom(), request.GetQuietHours().GetTo(), request.GetQuietHours().GetZone()})
	require.Equal(t, []string{"mon", "fri"}, request.GetQuietHours().GetWeekdays())
	require.Empty(t, request.GetExternalSystemUrl())
	require.Equal(t, "rest", request.GetDestination().GetKind())
	require.Equal(t, "https://crm.example/api", request.GetDestination().GetUrl())
	require.Equal(t, "crm-secret", s.open(request.GetDestination().GetTokenSealed()))
	require.EqualValues(t, 15, request.GetPollCadenceMinutes())
	require.Equal(t, "it@acme.example", request.GetAdminEmail())
	require.InDelta(t, 2.5, request.GetLimits().GetRequestsPerSecond(), 0)
	require.NotNil(t, request.GetLimits().RequestsPerMinute, "no limit a minute is not the same as not given")
	require.Zero(t, request.GetLimits().GetRequestsPerMinute())
}

func TestClearSendsThePlainMessageAndAsksForNoKey(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stream := f.onboardingStream()
	got := f.run("onboard", "acme", "--clear", "--vomo-token", vomoToken, "--url", "https://crm.example/api")
	require.Zero(t, got.code, got.stderr)
	require.JSONEq(t, `{"customerId":"acme","vomoToken":"`+vomoToken+`","externalSystemUrl":"https://crm.example/api"}`,
		string(f.message(stream, 1).Data))
}

func TestInvalidRequestIsNotPublished(t *testing.T) {
	t.Parallel()
	calls := map[string]struct {
		args []string
		says string
	}{
		"settings without a destination": {[]string{"--vomo-token", vomoToken, "--cadence", "15"}, "externalSystemUrl: is missing"},
		"an empty destination":           {[]string{"--vomo-token", vomoToken, "--url", ""}, "externalSystemUrl: is missing"},
		"an empty setting":               {[]string{"--vomo-token", vomoToken, "--admin-email", ""}, "externalSystemUrl: is missing"},
		"two destinations": {[]string{
			"--vomo-token", vomoToken, "--url", "https://a.example", "--destination-url", "https://b.example",
		}, "destination: is given twice"},
		"a destination's token alone": {[]string{"--vomo-token", vomoToken, "--destination-token-file", tokenFile(t, "crm-secret")}, "--destination-url"},
		"no token":                    {[]string{"--url", "https://a.example"}, "--vomo-token-file"},
		"two tokens":                  {[]string{"--url", "https://a.example", "--vomo-token", vomoToken, "--vomo-token-file", "x"}, "not both"},
		"two from standard input": {[]string{
			"--vomo-token-file", "-", "--destination-url", "https://a.example", "--destination-token-file", "-",
		}, "only one token"},
		"a token with a space": {[]string{"--url", "https://a.example", "--vomo-token", "vomo secret"}, "vomoToken: has spaces"},
		"no e-mail address": {[]string{
			"--url", "https://a.example", "--vomo-token", vomoToken, "--admin-email", "it",
		}, "adminEmail: is not an e-mail address"},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			got := f.run(append([]string{"onboard", "acme"}, call.args...)...)
			require.Equal(t, 2, got.code)
			require.Contains(t, got.stderr, call.says)
			require.NotContains(t, got.stderr, vomoToken)
			require.NotContains(t, got.stderr, "vomo secret")
		})
	}
}

func TestPromptCanBeInterrupted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	typing, written := io.Pipe()
	t.Cleanup(func() { _ = written.Close() })
	f.process.Stdin = readerFunc(func(p []byte) (int, error) { cancel(); return typing.Read(p) })
	got := f.runWith(ctx, "onboard", "acme", "--url", "https://a.example", "--vomo-token-file", "-")
	require.Equal(t, 1, got.code)
	require.Equal(t, "rollcall: read secret: interrupted\n", got.stderr)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestMissingEmptyOrHugeSecretFileIsRejected(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for path, says := range map[string]string{
		filepath.Join(t.TempDir(), "absent"):     "no such file",
		tokenFile(t, ""):                         "is empty",
		tokenFile(t, strings.Repeat("x", 65537)): "is longer than any token",
	} {
		got := f.run("onboard", "acme", "--url", "https://a.example", "--vomo-token-file", path)
		require.Equal(t, 1, got.code)
		require.Contains(t, got.stderr, says)
		require.NotContains(t, got.stderr, "xxxx")
	}
}

func TestMissingStreamIsAnErrorWithARemedy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	got := f.run("onboard", "acme", "--clear", "--vomo-token", vomoToken, "--url", "https://a.example")
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "run `rollcall migrate`")
	require.Empty(t, got.stdout)
}

func TestStreamErrorIsPrinted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.nats.Stream(t, jetstream.StreamConfig{Name: "ROLLCALL_ONBOARDING", Subjects: []string{"rollcall.onboarding.request.*"}, MaxMsgSize: 10})
	got := f.run("onboard", "acme", "--clear", "--vomo-token", vomoToken, "--url", "https://a.example", "--json")
	require.Equal(t, 1, got.code)
	require.Empty(t, got.stdout)
	require.Contains(t, got.stderr, "message size exceeds maximum allowed")
}

func TestInvalidWindowIsNotPublished(t *testing.T) {
	t.Parallel()
	s := newOnboardingService(t)
	for _, c := range [][]string{
		{"quietHours.zone", "--quiet-hours", "08:00-18:00"},
		{"quietHours.zone", "--quiet-hours", "08:00-18:00 America/Sesame"},
		{"quietHours.to", "--quiet-hours", "08:00 UTC"},
		{"quietHours.weekdays", "--quiet-hours", "08:00-18:00 UTC", "--quiet-days", "someday"},
		{"--quiet-hours", "--quiet-days", "mon"},
		{"--not-before", "--not-before", "tomorrow"},
	} {
		args := append([]string{"onboard", "acme", "--url", "https://crm.example/api", "--vomo-token", vomoToken}, c[1:]...)
		got := s.run(args...)
		require.Equal(t, 2, got.code, args)
		require.Contains(t, got.stderr, c[0], args)
	}
	info, err := s.stream.Info(t.Context())
	require.NoError(t, err)
	require.Zero(t, info.State.Msgs)
}
