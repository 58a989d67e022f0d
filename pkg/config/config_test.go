package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/config"
)

// loadError returns the text of the error that Load returns for these lines.
func loadError(t *testing.T, lines ...string) string {
	t.Helper()
	loaded, err := config.Load(lines)
	require.Error(t, err, "%q", lines)
	require.Equal(t, config.Config{}, loaded, "a wrong configuration must not be returned in part")
	return err.Error()
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load(nil)
	require.NoError(t, err)
	require.Equal(t, config.Config{
		NATSURL: "nats://127.0.0.1:4222", NATSReplicas: 1,
		EventsMaxBytes: 2 << 30, AlertsMaxBytes: 256 << 20, AdvisoriesMaxBytes: 256 << 20, DLQMaxBytes: 1 << 30,
		VomoBaseURL: "https://api.vomo.org/v1", VomoRequestsPerSecond: 3, VomoRequestsPerMinute: 100,
		VirtuousBaseURL: "https://api.virtuoussoftware.com", VirtuousAppURL: "https://app.virtuoussoftware.com",
		VirtuousRequestsPerHour: 1200, VirtuousShare: 0.6, VirtuousBatch: 1,
		ProjectCheck: config.ProjectCheckRefuse,
		SecretsURL:   "dev", HTTPAddr: "127.0.0.1:0", ClaimTimeout: 30 * time.Second,
		BackfillSlots: 24, BackfillTurn: time.Minute, BackfillTries: 10, DestinationSlots: 16, OnboardingSlots: 8,
		PollSlots: 64, ReconcileSlots: 16, WritebackSlots: 16, DLQSlots: 16,
		DLQRetryAttempts: 12, DLQRetryAge: 24 * time.Hour, DLQMaxAge: 72 * time.Hour, DLQGrowth: 100,
		DeletionGuard: 0.05, DeletionGuardMin: 10, DeletionCandidateRetention: 720 * time.Hour, ParticipationShare: 0.1,
		AuditRetention: 9600 * time.Hour, OperatorAuditAge: 9600 * time.Hour, JobLogAge: 336 * time.Hour, SettledLettersAge: 2160 * time.Hour,
		ClearedAlertsAge: 2160 * time.Hour, ReconcileGapsAge: 2160 * time.Hour, NotificationsAge: 960 * time.Hour, AdvisoriesAge: 168 * time.Hour,
		OffboardRetention: 720 * time.Hour,
		WebhookAddr:       "127.0.0.1:0", WebhookSignatureHeader: "X-Virtuous-Signature", WebhookMaxBody: 8 << 20, WebhookInboxAge: 720 * time.Hour,
		GivingReconcileEvery: 6 * time.Hour, GivingPendingAge: 4 * time.Hour,
		ConsoleSessionAge: 24 * time.Hour, ConsoleSessionIdle: 8 * time.Hour, IdempotencyKeyAge: 24 * time.Hour, OIDCGroupsClaim: "groups",
		TracesShare: 0.01, LogLevel: "info", LogFormat: "json",
	}, loaded)
}

func TestSettingsAreReadFromTheEnvironment(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load([]string{
		"DATABASE_URL=postgres://u:p=w@h/db", "VOMO_REQUESTS_PER_SECOND=5000.5", "VOMO_REQUESTS_PER_MINUTE=0", "CLAIM_TIMEOUT=1m30s",
		"REQUIRE_SEALED_TOKENS=true", "ALLOW_PRIVATE_DESTINATIONS=1", "NATS_CERT=a", "NATS_KEY=b", "LOG_LEVEL=debug", "UNRELATED=x",
	})
	require.NoError(t, err)
	require.Equal(t, "postgres://u:p=w@h/db", loaded.DatabaseURL, "a value may hold an equals sign")
	require.InDelta(t, 5000.5, loaded.VomoRequestsPerSecond, 0)
	require.Zero(t, loaded.VomoRequestsPerMinute)
	require.Equal(t, 90*time.Second, loaded.ClaimTimeout)
	require.True(t, loaded.RequireSealedTokens)
	require.True(t, loaded.AllowPrivateDestinations)
	require.Equal(t, "debug", loaded.LogLevel)
}

func TestEmptySettingMeansDefault(t *testing.T) {
	t.Parallel()
	loaded, err := config.Load([]string{"BACKFILL_SLOTS=", "CLAIM_TIMEOUT=", "SECRETS_URL=", "LOG_LEVEL="})
	require.NoError(t, err)
	require.Equal(t, 24, loaded.BackfillSlots)
	require.Equal(t, "dev", loaded.SecretsURL)

	require.NotContains(t, loadError(t, "BACKFILL_SLOTS=", "CLAIM_TIMEOUT=soon"), "BACKFILL_SLOTS", "also if another setting is wrong")
}

func TestRangesAreCheckedAtBothEnds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ inside, outside []string }{
		"NATS_REPLICAS":            {[]string{"1", "5"}, []string{"0", "6", "-1"}},
		"VOMO_REQUESTS_PER_SECOND": {[]string{"0.001", "100000"}, []string{"0", "0.0009", "100001", "-3", "NaN", "Inf", "-Inf"}},
		"VOMO_REQUESTS_PER_MINUTE": {[]string{"0", "0.06", "6000000"}, []string{"-1", "6000001", "NaN", "Inf", "0.05", "1e-300"}},
		"CLAIM_TIMEOUT":            {[]string{"2s", "10m"}, []string{"1.999s", "10m1ns", "-30s", "0"}},
		"BACKFILL_SLOTS":           {[]string{"1", "256"}, []string{"0", "257"}},
		"BACKFILL_TURN":            {[]string{"1s", "1h"}, []string{"999ms", "61m"}},
		"BACKFILL_TRIES":           {[]string{"1", "1000"}, []string{"0", "1001"}},
		"DESTINATION_CONCURRENCY":  {[]string{"1", "256"}, []string{"0", "257"}},
		"ONBOARDING_SLOTS":         {[]string{"1", "256"}, []string{"0", "257"}},
		"LOG_LEVEL":                {[]string{"debug", "info", "warn", "error"}, []string{"trace", "INFO", "debug,info"}},
		"LOG_FORMAT":               {[]string{"json", "console"}, []string{"text"}},
		"VOMO_BASE_URL":            {[]string{"http://127.0.0.1:1/vomo/v1", "https://api.vomo.org/v1"}, []string{"api.vomo.org", "ftp://x", "http://", "%zz", "/v1"}},
		"WEBHOOK_PUBLIC_URL": {
			[]string{"", "https://hooks.example.org", "https://example.org/behind/a/proxy"},
			[]string{"hooks.example.org", "ftp://x", "https://", "https://u:p@x", "https://x?a=b", "https://x#a", "%zz"},
		},
	} {
		for _, value := range c.inside {
			_, err := config.Load([]string{name + "=" + value})
			require.NoError(t, err, "%s=%s", name, value)
		}
		for _, value := range c.outside {
			text := loadError(t, name+"="+value)
			require.Contains(t, text, name)
			require.NotContains(t, text, "\n", "one clear line")
		}
	}
}

func TestErrorForUnreadableValueNamesSettingWithoutValue(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"NATS_REPLICAS=canary-17", "BACKFILL_SLOTS=1.5", "BACKFILL_SLOTS=99999999999", "BACKFILL_TRIES=0x10",
		"VOMO_REQUESTS_PER_SECOND=canary-17", "VOMO_REQUESTS_PER_MINUTE=1e400", "REQUIRE_SEALED_TOKENS=canary-17", "CLAIM_TIMEOUT=17", "CLAIM_TIMEOUT=canary-17",
	} {
		name, value, _ := strings.Cut(line, "=")
		text := loadError(t, line)
		require.Contains(t, text, name+" cannot be read: expected ")
		require.NotContains(t, strings.TrimPrefix(text, name), value, line)
	}
}

func TestErrorNamesEveryProblem(t *testing.T) {
	t.Parallel()
	text := loadError(t, "NATS_REPLICAS=many", "CLAIM_TIMEOUT=soon", "BACKFILL_SLOTS=0", "LOG_LEVEL=loud", "VOMO_BASE_URL=nowhere", "NATS_CERT=a")
	for _, name := range []string{"NATS_REPLICAS", "CLAIM_TIMEOUT", "BACKFILL_SLOTS", "LOG_LEVEL", "VOMO_BASE_URL", "NATS_CERT and NATS_KEY"} {
		require.Equal(t, 1, strings.Count(text, name), name)
	}
	require.Len(t, strings.Split(text, "\n"), 6, "a line each")
}

func TestNATSCertAndKeyMustBeGivenTogether(t *testing.T) {
	t.Parallel()
	require.Contains(t, loadError(t, "NATS_CERT=file"), "NATS_CERT and NATS_KEY")
	require.Contains(t, loadError(t, "NATS_KEY=file"), "NATS_CERT and NATS_KEY")
}

// A secret may have been put into any setting by mistake, so no error prints a value.
func TestErrorsNeverPrintValues(t *testing.T) {
	t.Parallel()
	const canary = "cAnary-7f3a91"
	all := make([]string, 0, len(config.Settings()))
	for _, setting := range config.Settings() {
		all = append(all, setting.Name+"="+canary)
		if _, err := config.Load([]string{setting.Name + "=" + canary}); err != nil {
			require.NotContains(t, err.Error(), canary, setting.Name)
		}
	}
	require.NotContains(t, loadError(t, all...), canary)
	require.NotContains(t, loadError(t, "DATABASE_URL=postgres://u:"+canary+"@h/db", "SECRETS_URL=base64key://"+canary, "LOG_LEVEL=x"), canary)
}
