package service

import (
	"context"
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// askAs asks an endpoint under an operator's name.
func askAs(t *testing.T, conn *nats.Conn, operator, noun, verb, question string) *nats.Msg {
	t.Helper()
	message := nats.NewMsg(APISubject(noun, verb))
	message.Data = []byte(question)
	if operator != "" {
		message.Header.Set("Rollcall-Operator", operator)
	}
	answer, err := conn.RequestMsg(message, soon)
	require.NoError(t, err)
	return answer
}

// acts returns the audit, oldest first, without ids and times.
func acts(t *testing.T, service *Service) []store.Act {
	t.Helper()
	listed, err := service.Store.Acts(t.Context(), store.ActsAsked{AtMost: 100})
	require.NoError(t, err)
	slices.Reverse(listed)
	for i := range listed {
		listed[i].ID, listed[i].At = 0, time.Time{}
	}
	return listed
}

// execSQL runs a statement in the service's database.
func execSQL(t *testing.T, url, statement string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	_, err = conn.Exec(t.Context(), statement)
	require.NoError(t, err)
}

func TestActsAreAuditedAndReadsAreNot(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, service := serveIdle(t, "onboarding", f.settings)
	type command struct {
		CustomerID string `json:"customerId"`
		Text       string `json:"text"`
	}
	type done struct {
		Action string `json:"action"`
		Count  int    `json:"count"`
	}
	answer := func(_ context.Context, asked command) (done, error) {
		switch asked.Text {
		case "conflict":
			return done{}, &ConflictError{Text: "Ana is paused"}
		case "fault":
			panic("a defect")
		}
		return done{Action: "paused", Count: 3}, nil
	}
	require.NoError(t, Answer(service, "greeting", "pause", answer))
	require.NoError(t, Answer(service, "greeting", "get", answer))
	conn := f.nats.Conn(t)
	askAs(t, conn, "ana@ops-1", "greeting", "pause", `{"customerId":"acme","text":"Ana Ruiz"}`)
	askAs(t, conn, "", "greeting", "pause", `{"customerId":"acme","text":"conflict"}`)
	askAs(t, conn, "ana@ops-1", "greeting", "pause", `{"text":"fault"}`)
	askAs(t, conn, "ana@ops-1", "greeting", "get", `{"customerId":"acme"}`)
	askAs(t, conn, "ana@ops-1", "greeting", "pause", `{`)
	require.Equal(t, []store.Act{
		{
			Operator: "ana@ops-1", Via: "api", Verb: "greeting.pause", Customer: "acme", Filter: json.RawMessage(`{"text": "…", "customerId": "acme"}`),
			Outcome: "done", Result: json.RawMessage(`{"count": 3, "action": "paused"}`),
		},
		{Via: "api", Verb: "greeting.pause", Customer: "acme", Filter: json.RawMessage(`{"text": "…", "customerId": "acme"}`), Outcome: "rejected", Code: "409"},
		{Operator: "ana@ops-1", Via: "api", Verb: "greeting.pause", Filter: json.RawMessage(`{"text": "…", "customerId": ""}`), Outcome: "failed", Code: "500"},
	}, acts(t, service))
}

func TestActIsNotDoneIfItCannotBeAudited(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, service := serveIdle(t, "onboarding", f.settings)
	called := false
	require.NoError(t, Answer(service, "greeting", "pause", func(context.Context, struct{}) (struct{}, error) {
		called = true
		return struct{}{}, nil
	}))
	execSQL(t, f.settings.DatabaseURL, `ALTER TABLE operator_audit RENAME TO operator_audit_elsewhere`)
	answer := askAs(t, f.nats.Conn(t), "ana", "greeting", "pause", `{}`)
	require.Equal(t, CodeInternal, answer.Header.Get(micro.ErrorCodeHeader))
	require.False(t, called)
}

func TestActOfAProcessThatDiedStaysBegun(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, service := serveIdle(t, "onboarding", f.settings)
	outcome := make(chan string, 1)
	require.NoError(t, Answer(service, "greeting", "pause", func(ctx context.Context, _ struct{}) (struct{}, error) {
		listed, err := service.Store.Acts(ctx, store.ActsAsked{AtMost: 1})
		for _, act := range listed {
			outcome <- act.Outcome
		}
		return struct{}{}, err
	}))
	askAs(t, f.nats.Conn(t), "ana", "greeting", "pause", `{}`)
	require.Equal(t, "begun", <-outcome, "a process that dies in the act leaves this row")
	require.Equal(t, "done", acts(t, service)[0].Outcome)
}

func TestReadThatDisclosesIsAudited(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	_, service := serveIdle(t, "onboarding", f.settings)
	require.NoError(t, Answer(service, "greeting", "show", func(ctx context.Context, asked question) (reply, error) {
		if asked.Customer != "plain" {
			Disclosed(ctx)
		}
		return reply{Greeting: "what the destination said"}, nil
	}))
	conn := f.nats.Conn(t)
	askAs(t, conn, "ana@ops-1", "greeting", "show", `{"customer":"plain"}`)
	askAs(t, conn, "ana@ops-1", "greeting", "show", `{"customer":"acme"}`)
	require.Equal(t, []store.Act{
		{Operator: "ana@ops-1", Via: "api", Verb: "greeting.show", Filter: json.RawMessage(`{"customer": "…"}`), Outcome: "done"},
	}, acts(t, service))

	execSQL(t, f.settings.DatabaseURL, `ALTER TABLE operator_audit RENAME TO operator_audit_elsewhere`)
	answer := askAs(t, conn, "ana@ops-1", "greeting", "show", `{"customer":"acme"}`)
	require.Equal(t, CodeInternal, answer.Header.Get(micro.ErrorCodeHeader))
	require.NotContains(t, string(answer.Data), "destination", "what cannot be audited is not shown")
}
