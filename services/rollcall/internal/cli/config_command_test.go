package cli

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

func TestConfigSetSendsEveryFlagAndPrintsTheChanges(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var asked operatorapi.ConfigChange
	f.answers("config", "set", func(_ int, question []byte) (any, string) {
		if err := json.Unmarshal(question, &asked); err != nil {
			return err.Error(), service.CodeBadRequest
		}
		return operatorapi.ConfigChanged{CustomerID: "acme", Changes: []operatorapi.Change{
			{Field: "pollCadenceMinutes", From: 30, To: 15}, {Field: "limits.requestsPerMinute", From: 0.0, To: nil}, {Field: "destination.token"},
			{Field: operatorapi.FieldAdminEmail, From: "it@acme.example", To: nil},
		}, Backfill: &operatorapi.Backfill{ID: 3, State: "queued"}}, noCode
	})
	got := f.run("config", "set", "acme", "--cadence", "15", "--requests-per-second", "2.5", "--rpm", "default", "--admin-email", "",
		"--destination-url", "https://crm.example", "--new-system", "--participations", "--destination-participations=false")
	require.Zero(t, got.code, got.stderr)
	require.Equal(t, "acme: pollCadenceMinutes 30 -> 15\nacme: limits.requestsPerMinute 0 -> default\n"+
		"acme: destination.token changed\nacme: adminEmail it@acme.example -> none\nacme: backfill 3 queued\n", got.stdout)
	require.Equal(t, operatorapi.ConfigChange{
		CustomerID: "acme", PollCadenceMinutes: new(int32(15)), RequestsPerSecond: new(2.5),
		Unset:             []string{operatorapi.FieldAdminEmail, operatorapi.FieldRequestsPerMinute},
		ExternalSystemURL: new("https://crm.example"), DestinationChange: operatorapi.DestinationNewSystem,
		Participations: new(true), DestinationParticipations: new(false),
	}, asked)
	for _, args := range [][]string{
		{"config", "set", "acme"}, {"config", "set", "acme", "--rps", "many"}, {"config", "set", "acme", "--moved", "--new-system"},
	} {
		require.Equal(t, exitUsage, f.run(args...).code, args)
	}
}

func TestConfigSetListsFieldErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stop := f.rejectsWith("config", "set", service.CodeBadRequest, `{"errors":{"adminEmail":["is not an e-mail address"]}}`)
	defer stop()
	require.Equal(t, result{code: 1, stderr: "rollcall: nothing was changed:\n  adminEmail: is not an e-mail address\n"},
		f.run("config", "set", "acme", "--admin-email", "no-address"))
}

func TestConfigSetIsRetriedWhileTheLaneIsBusy(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("config", "set", func(n int, _ []byte) (any, string) {
		if n < 3 {
			return "a job did not let go", service.CodeBusy
		}
		return operatorapi.ConfigChanged{CustomerID: "acme"}, noCode
	})
	got := f.run("config", "set", "acme", "--destination-url", "https://crm.example", "--moved")
	require.Zero(t, got.code)
	require.Len(t, f.waits, 2)
	require.Equal(t, 1, strings.Count(got.stderr, "trying again"))
}

func TestConfigShowPrintsEverySetting(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("config", "get", always(operatorapi.Config{
		CustomerID: "acme", Enabled: true, ExternalSystemURL: "https://crm.example/v1", DestinationKind: "rest", PollCadenceMinutes: 15,
		Limits: operatorapi.ConfigLimits{RequestsPerMinute: new(50.0)}, PausedAt: &testTime, BackfillNotBefore: &testTime,
		QuietHours: &operatorapi.QuietHours{From: "08:00", To: "18:00", Zone: "America/Chicago", Weekdays: []string{"mon", "fri"}},
	}))
	got := f.run("config", "show", "acme")
	require.Zero(t, got.code)
	for _, want := range []string{
		`destination +rest https://crm.example/v1`, `poll cadence +15 minutes`, `requests a second +as the installation`, `requests a minute +50`,
		`paused +since 2026-11-20 08:00:00 UTC`, `backfill not before +2026-11-20T08:00:00Z`, `quiet hours +08:00-18:00 America/Chicago mon,fri`,
	} {
		require.Regexp(t, want, got.stdout)
	}
}

// fullConfig is a customer's configuration with every setting.
func fullConfig() operatorapi.Config {
	return operatorapi.Config{
		CustomerID: "acme", Enabled: true, ExternalSystemURL: "https://crm.example/api", DestinationKind: "rest", BatchSize: new(int32(100)),
		HasDestinationAuth: true, PollCadenceMinutes: 15, AdminEmail: new("it@acme.example"),
		Limits:            operatorapi.ConfigLimits{RequestsPerSecond: new(2.5), RequestsPerMinute: new(0.0)},
		BackfillNotBefore: &testTime, QuietHours: &operatorapi.QuietHours{From: "08:00", To: "18:00", Zone: "UTC"},
	}
}

func TestConfigSetReplacesTheVOMOToken(t *testing.T) {
	t.Parallel()
	s := newOnboardingService(t)
	s.configAnswer = always(fullConfig())
	s.answers("requests", "get", inTurn(operatorapi.Request{CustomerID: "acme", State: "pending"}, operatorapi.Request{CustomerID: "acme", State: "applied"},
		operatorapi.Request{CustomerID: "acme", State: "duplicate"}, operatorapi.Request{CustomerID: "acme", State: "applied"}))

	got := s.run("config", "set", "acme", "--vomo-token-file", tokenFile(t, "\ufeff"+vomoToken)) // as some editors save it

	require.Equal(t, result{stdout: "acme: published as message 1 of ROLLCALL_ONBOARDING\nacme: VOMO token replaced; all settings stay\n"}, got)
	request := s.request()
	require.True(t, request.TokenOnly())
	require.Empty(t, request.GetVomoToken())
	require.Equal(t, vomoToken, s.open(request.GetVomoTokenSealed()))

	s.process.Stdin = strings.NewReader(vomoToken)
	got = s.run("config", "set", "acme", "--vomo-token-file", "-")
	require.Zero(t, got.code, got.stderr)
	require.Contains(t, got.stdout, "was in force already")
	whole := document[onboardedDocument](t, s.run("config", "set", "acme", "--vomo-token-file", tokenFile(t, vomoToken), "--json"))
	require.Equal(t, "applied", whole.Request.State)
}

func TestConfigSetWithATokenThatVOMORejectsChangesNothing(t *testing.T) {
	t.Parallel()
	s := newOnboardingService(t)
	s.configAnswer = always(fullConfig())
	s.answers("requests", "get", inTurn(operatorapi.Request{CustomerID: "acme", State: "rejected", Errors: map[string][]string{
		"vomoToken": {"Token rejected by VOMO API"},
	}}, operatorapi.Request{CustomerID: "acme", State: "superseded"}))
	got := s.run("config", "set", "acme", "--vomo-token-file", tokenFile(t, vomoToken))
	require.Equal(t, 1, got.code)
	require.Equal(t, "rollcall: nothing was changed:\n  vomoToken: Token rejected by VOMO API\n", got.stderr)
	got = s.run("config", "set", "acme", "--vomo-token-file", tokenFile(t, vomoToken))
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "superseded by a newer request")
}

func TestTokenWithoutSettingsNeedsAKnownCustomer(t *testing.T) {
	t.Parallel()
	s := newOnboardingService(t)
	left := fullConfig()
	left.OffboardedAt = &testTime
	for _, answer := range []func(int, []byte) (any, string){unknown, always(left)} {
		s.configAnswer = answer
		for _, command := range [][]string{{"onboard", "acme"}, {"config", "set", "acme"}} {
			got := s.run(append(command, "--vomo-token-file", tokenFile(t, vomoToken))...)
			require.Equal(t, 1, got.code)
			require.Contains(t, got.stderr, `customer "acme" is not mirrored`)
			require.Contains(t, got.stderr, "--url")
		}
	}
	info, err := s.stream.Info(t.Context())
	require.NoError(t, err)
	require.Zero(t, info.State.Msgs)
}

func TestConfigSetRejectsANewTokenTogetherWithOtherChanges(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, more := range [][]string{{"--cadence", "15"}, {"--destination-token-file", "x"}, {"--moved"}} {
		got := f.run(append([]string{"config", "set", "acme", "--vomo-token-file", tokenFile(t, vomoToken)}, more...)...)
		require.Equal(t, exitUsage, got.code)
		require.Contains(t, got.stderr, "vomo-token-file")
	}
	got := f.run("config", "set", "acme", "--vomo-token-file", tokenFile(t, "vomo secret"))
	require.Equal(t, exitUsage, got.code)
	require.Contains(t, got.stderr, "vomoToken: has spaces")
}

func TestConfigSetSendsWhatIsWrittenBack(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	var asked operatorapi.ConfigChange
	writeBack := &operatorapi.WriteBack{Fields: []string{"phone", "lastName"}, Create: true}
	f.answers("config", "set", func(_ int, question []byte) (any, string) {
		asked = operatorapi.ConfigChange{}
		if err := json.Unmarshal(question, &asked); err != nil {
			return err.Error(), service.CodeBadRequest
		}
		return operatorapi.ConfigChanged{
			CustomerID: "acme", Changes: []operatorapi.Change{{Field: operatorapi.FieldWriteBack, To: asked.WriteBack}},
			Config: operatorapi.Config{WriteBack: asked.WriteBack},
		}, noCode
	})
	got := f.run("config", "set", "acme", "--write-back", "phone,lastName", "--write-back-create")
	require.Equal(t, result{stdout: "acme: writeBack is now: lastName,phone, and adds users\n"}, got)
	require.Equal(t, operatorapi.ConfigChange{CustomerID: "acme", WriteBack: writeBack}, asked)

	got = f.run("config", "set", "acme", "--write-back", "none")
	require.Equal(t, result{stdout: "acme: writeBack is now: none\n"}, got)
	require.Equal(t, operatorapi.ConfigChange{CustomerID: "acme", Unset: []string{operatorapi.FieldWriteBack}}, asked)
}
