package cli

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

// onboardAndWait publishes a request and waits until it is settled.
func (f *fixture) onboardAndWait(more ...string) result {
	f.t.Helper()
	f.onboardingStream()
	f.answers("config", "get", unknown)
	args := []string{"onboard", "acme", "--clear", "--wait", "--vomo-token", vomoToken, "--url", "https://crm.example/api"}
	return f.run(append(args, more...)...)
}

func TestWaitWatchesTheRequestAndThenTheBackfillToItsEnd(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"applied", "duplicate"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			f.answers("requests", "get", func(n int, question []byte) (any, string) {
				var asked operatorapi.RequestQuestion
				switch err := json.Unmarshal(question, &asked); {
				case err != nil || asked.Sequence != 1:
					return "a bad question", service.CodeBadRequest
				case n == 1:
					return "not found", service.CodeNotFound // not taken up yet
				case n == 2:
					return operatorapi.Request{CustomerID: "acme", State: "pending"}, noCode
				}
				return operatorapi.Request{CustomerID: "acme", State: state}, noCode
			})
			f.answers("backfills", "ls", inTurn(run("queued", 0), run("running", 150), run("completed", 1000)))
			got := f.onboardAndWait("--json")
			require.Zero(t, got.code, got.stderr)
			whole := document[onboardedDocument](t, got)
			require.Equal(t, uint64(1), whole.Sequence)
			require.Equal(t, state, whole.Request.State)
			require.Equal(t, "completed", whole.Backfill.State)
			require.Contains(t, got.stderr, "acme: onboarding "+state)
		})
	}
}

func TestARejectedRequestShowsTheErrorsOfEachField(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("requests", "get", always(operatorapi.Request{CustomerID: "acme", State: "rejected", Errors: map[string][]string{
		"vomoToken": {"Token rejected by VOMO API"}, "externalSystemUrl": {"is private", "is not https"},
	}}))
	got := f.onboardAndWait()
	require.Equal(t, 1, got.code)
	require.Equal(t, "rollcall: onboarding of \"acme\" was rejected:\n  externalSystemUrl: is private\n"+
		"  externalSystemUrl: is not https\n  vomoToken: Token rejected by VOMO API\n", got.stderr)
}

func TestARejectedRequestAsJSONIsADocumentWithItsErrors(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("requests", "get", always(operatorapi.Request{CustomerID: "acme", State: "rejected", Errors: map[string][]string{
		"vomoToken": {"Token rejected by VOMO API"},
	}}))
	got := f.onboardAndWait("--json")
	require.Equal(t, 1, got.code)
	whole := document[onboardedDocument](t, got)
	require.Equal(t, []string{"Token rejected by VOMO API"}, whole.Request.Errors["vomoToken"])
	require.Nil(t, whole.Backfill)
}

func TestASupersededRequestWasNotApplied(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("requests", "get", always(operatorapi.Request{CustomerID: "acme", State: "superseded"}))
	got := f.onboardAndWait()
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "superseded by a newer request")
}

func TestWaitFailsIfTheBackfillFails(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.answers("requests", "get", always(operatorapi.Request{CustomerID: "acme", State: "applied"}))
	f.answers("backfills", "ls", always(run("failed", 150)))
	got := f.onboardAndWait("--json")
	require.Equal(t, 1, got.code)
	require.Equal(t, "failed", document[onboardedDocument](t, got).Backfill.State)
}

func TestWaitSaysThatVOMOIsSilentAndCanBeStopped(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	stream := f.onboardingStream()
	f.answers("requests", "get", always(operatorapi.Request{CustomerID: "acme", State: "pending", Attempts: 3}))
	f.answers("config", "get", unknown)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	f.onWait = func(number int) {
		if number == 3 {
			cancel()
		}
	}
	got := f.runWith(ctx, "onboard", "acme", "--clear", "--wait", "--vomo-token", vomoToken, "--url", "https://crm.example/api")
	require.Equal(t, 1, got.code)
	require.Equal(t, "acme: the token could not be tested yet; it is tried again until VOMO answers\n"+
		"rollcall: stopped waiting; the request is stored and will be handled\n", got.stderr)
	f.message(stream, 1)
}

func TestWaitForAServiceThatNeverStartsEndsAfterAMinute(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	got := f.onboardAndWait()
	require.Equal(t, 1, got.code)
	require.Contains(t, got.stderr, "no service answers rollcall.api.requests.get: is the onboarding service running")
	require.Len(t, f.waits, 60)
}
