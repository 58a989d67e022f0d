//go:build compose

package compose_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

// product is what a client outside the containers sees of it.
type product struct {
	t       *testing.T
	conn    *nats.Conn
	js      jetstream.JetStream
	sandbox string // base URL
}

// access is the context of the nats command that an operator gets.
type access struct{ URL, User, Password string }

// reach connects as the nats command on the host does, with the context that the installation prints.
func reach(t *testing.T, s *stack) *product {
	t.Helper()
	var printed access
	require.NoError(t, json.Unmarshal([]byte(s.do("run", "--rm", "-T", "rollcall", "nats-context", "--json")), &printed))
	conn, err := nats.Connect(printed.URL, nats.UserInfo(printed.User, printed.Password),
		nats.MaxReconnects(-1), nats.ReconnectWait(200*time.Millisecond), nats.RetryOnFailedConnect(true))
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	require.NoError(t, err)
	return &product{t: t, conn: conn, js: js, sandbox: "http://127.0.0.1:" + setting(t, "SANDBOX_PORT")}
}

// refusesStrangers makes sure that NATS accepts no client without the password, nor with another one.
func (p *product) refusesStrangers() {
	p.t.Helper()
	for _, credentials := range [][]nats.Option{nil, {nats.UserInfo("rollcall", "rollcall")}, {nats.UserInfo("rollcall", "")}, {nats.Token("rollcall")}} {
		conn, err := nats.Connect(p.conn.ConnectedUrl(), credentials...)
		if err == nil {
			conn.Close()
		}
		require.ErrorIs(p.t, err, nats.ErrAuthorization)
	}
}

// organisation makes one in the sandbox; its token is <name>-token.
func (p *product) organisation(name string, users int) {
	p.t.Helper()
	p.control(http.MethodPost, "/control/orgs", map[string]any{"name": name, "token": name + "-token", "users": users, "seed": 7}, nil)
}

// onboard publishes what an operator publishes with "nats req", the destination as the containers reach it.
func (p *product) onboard(customer, token string) {
	p.t.Helper()
	message, err := json.Marshal(map[string]any{
		"customerId": customer, "vomoToken": token, "externalSystemUrl": "http://sandbox:9090/crm/" + customer,
		"adminEmail": "it@" + customer + ".example",
	})
	require.NoError(p.t, err)
	answer, err := p.conn.Request(bus.SubjectOnboard(customer), message, soon)
	require.NoError(p.t, err)
	var stored jetstream.PubAck
	require.NoError(p.t, json.Unmarshal(answer.Data, &stored))
	require.Equal(p.t, "ROLLCALL_ONBOARDING", stored.Stream, string(answer.Data))
}

// slow makes the organisation's pages come late, until brisk.
func (p *product) slow(name string) {
	p.t.Helper()
	p.control(http.MethodPost, "/control/faults", map[string]any{"target": "vomo", "org": name, "kind": "latency", "delayMs": 1000}, nil)
}

func (p *product) brisk() {
	p.t.Helper()
	p.control(http.MethodDelete, "/control/faults", nil, nil)
}

func (p *product) control(method, path string, body, answer any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), soon)
	defer cancel()
	encoded, err := json.Marshal(body)
	require.NoError(p.t, err)
	request, err := http.NewRequestWithContext(ctx, method, p.sandbox+path, bytes.NewReader(encoded))
	require.NoError(p.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(p.t, err)
	raw, err := io.ReadAll(response.Body)
	require.NoError(p.t, err)
	require.NoError(p.t, response.Body.Close())
	require.Less(p.t, response.StatusCode, 300, "%s %s: %s", method, path, raw)
	if answer != nil {
		require.NoError(p.t, json.Unmarshal(raw, answer))
	}
}

// backfill is the customer's newest run; nil where there is none, or while NATS or the service is away.
func (p *product) backfill(customer string) *operatorapi.Backfill {
	question, err := json.Marshal(operatorapi.BackfillsQuestion{CustomerID: customer})
	require.NoError(p.t, err)
	answer, err := p.conn.Request(service.APISubject("backfills", "ls"), question, 2*time.Second)
	if err != nil || answer.Header.Get("Nats-Service-Error") != "" {
		return nil
	}
	var reply operatorapi.BackfillsReply
	require.NoError(p.t, json.Unmarshal(answer.Data, &reply))
	if len(reply.Backfills) == 0 {
		return nil
	}
	return &reply.Backfills[0]
}

// comparison is the sandbox's own, record by record.
type comparison struct {
	Source, Destination, Same, Missing, Extra, Different int
}

func (p *product) mirrored(customer string, users int) {
	p.t.Helper()
	var seen comparison
	p.control(http.MethodGet, "/control/compare?org="+customer+"&tenant="+customer, nil, &seen)
	require.Equal(p.t, comparison{Source: users, Destination: users, Same: users}, seen)
}

// follows edits a user at VOMO, asks for a poll, and waits until the destination has it.
func (p *product) follows(customer string, users int) {
	p.t.Helper()
	p.control(http.MethodPost, "/control/orgs/"+customer+"/users:batch", map[string]any{"edits": []map[string]any{{"id": 1001, "phone": "+15550001111"}}}, nil)
	ctx, cancel := context.WithTimeout(p.t.Context(), soon)
	defer cancel()
	_, err := p.js.Publish(ctx, bus.SubjectPoll(customer), []byte(`{"customerId":"`+customer+`"}`))
	var refused *jetstream.APIError // one that stands there already is as good
	require.True(p.t, err == nil || errors.As(err, &refused), err)
	require.Eventually(p.t, func() bool {
		var seen comparison
		p.control(http.MethodGet, "/control/compare?org="+customer+"&tenant="+customer, nil, &seen)
		return seen == comparison{Source: users, Destination: users, Same: users}
	}, soon, 200*time.Millisecond, customer)
}

// event is how many of a kind the stream keeps for the customer.
func (p *product) events(subject string) uint64 {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), soon)
	defer cancel()
	stream, err := p.js.Stream(ctx, "ROLLCALL_EVENTS")
	require.NoError(p.t, err)
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(subject))
	require.NoError(p.t, err)
	return info.State.Subjects[subject]
}
