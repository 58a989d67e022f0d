package dev

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/testkit"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// installation answers a demonstration as the services and the sandbox do, with the answers of the test, on a real NATS
// and a real HTTP server.
type installation struct {
	t     *testing.T
	conn  *nats.Conn
	shown *testScreen
	demo  *demo

	mu        sync.Mutex
	backfills []operatorapi.Backfill // one for each answer, the last one repeated; none: no customer was onboarded
	onRequest func(*rollcallv1.OnboardingRequest)
	requests  []string
	found     comparison
	edited    int
	polls     int
}

func newInstallation(t *testing.T) *installation {
	t.Helper()
	i := &installation{t: t, conn: testkit.NATS(t).Conn(t), shown: &testScreen{}}
	streams, err := jetstream.New(i.conn)
	require.NoError(t, err)
	require.NoError(t, bus.Ensure(t.Context(), streams, 1, 30*time.Second))
	i.listen(bus.SubjectOnboard("*"), i.onboarded)
	i.listen(service.APISubject("status", "get"), i.status)
	i.listen(service.APISubject("backfills", "ls"), i.list)
	i.listen(bus.SubjectPoll(demoOrg), func(*nats.Msg) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.polls++
	})
	require.NoError(t, i.conn.Flush())
	control := httptest.NewServer(http.HandlerFunc(i.control))
	t.Cleanup(control.Close)
	i.demo = &demo{
		screen: newScreen(i.shown, &testScreen{}, true), conn: i.conn, sandbox: &sandbox{address: control.URL, client: control.Client()},
		folder: "/data", limits: budget.Limits{PerSecond: 3, PerMinute: 100},
	}
	return i
}

func (i *installation) listen(subject string, handle nats.MsgHandler) {
	i.t.Helper()
	_, err := i.conn.Subscribe(subject, handle)
	require.NoError(i.t, err)
}

func (i *installation) onboarded(message *nats.Msg) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.requests = append(i.requests, string(message.Data))
	var request rollcallv1.OnboardingRequest
	if errs := rollcallv1.Decode(message.Data, &request); len(errs) > 0 {
		i.t.Errorf("unreadable request: %v", errs)
	}
	if i.onRequest != nil {
		i.onRequest(&request)
	}
}

// publishOnboarding publishes an event, as the onboarding service does.
func (i *installation) publishOnboarding(name string, data proto.Message) {
	payload, err := rollcallv1.Encode(data)
	if err == nil {
		err = i.conn.Publish(bus.SubjectEvent(name, demoOrg), payload)
	}
	if err != nil {
		i.t.Errorf("publish %s: %v", name, err)
	}
}

func (i *installation) accept(*rollcallv1.OnboardingRequest) {
	i.publishOnboarding(event.OnboardingCompleted, &rollcallv1.OnboardingCompleted{
		CustomerId: demoOrg, UsersTotal: 1_000, EstimatedBackfillSeconds: 41, BackfillQueued: true,
	})
}

func (i *installation) next() (operatorapi.Backfill, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if len(i.backfills) == 0 || len(i.requests) == 0 && i.onRequest != nil {
		return operatorapi.Backfill{}, false
	}
	run := i.backfills[0]
	if len(i.backfills) > 1 {
		i.backfills = i.backfills[1:]
	}
	return run, true
}

func (i *installation) status(message *nats.Msg) {
	i.mu.Lock()
	known := len(i.backfills) > 0 && i.onRequest == nil
	status := report.Status{CustomerID: demoOrg}
	if known {
		status.Backfill = &report.BackfillStatus{State: i.backfills[0].State}
	}
	i.mu.Unlock()
	i.answer(message, status, known)
}

func (i *installation) list(message *nats.Msg) {
	run, known := i.next()
	i.answer(message, operatorapi.BackfillsReply{Backfills: []operatorapi.Backfill{run}}, known)
}

func (i *installation) answer(question *nats.Msg, reply any, known bool) {
	answer := nats.NewMsg(question.Reply)
	if known {
		text, err := json.Marshal(reply)
		if err != nil {
			i.t.Errorf("encode answer: %v", err)
		}
		answer.Data = text
	} else {
		answer.Header.Set(micro.ErrorCodeHeader, service.CodeNotFound)
		answer.Header.Set(micro.ErrorHeader, "not found")
	}
	if err := i.conn.PublishMsg(answer); err != nil {
		i.t.Errorf("answer: %v", err)
	}
}

func (i *installation) control(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	var reply any = i.found
	if strings.HasPrefix(r.URL.Path, "/control/orgs/"+demoOrg+"/users") {
		i.edit(w, r)
		return
	}
	if r.URL.Path == "/control/report" {
		first := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
		reply = map[string]any{"vomo": map[string]traffic{demoOrg: {
			Requests: 68, FirstAt: first, LastAt: first.Add(40602 * time.Millisecond), MaxPerMinute: 68,
		}}}
	} else if r.URL.Query().Get("org") != demoOrg || r.URL.Query().Get("tenant") != demoOrg {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if err := json.NewEncoder(w).Encode(reply); err != nil {
		i.t.Errorf("answer: %v", err)
	}
}

// edit lists users, or counts the edited ones.
func (i *installation) edit(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet {
		for id := range 7 {
			_, _ = fmt.Fprintf(w, `{"id":%d,"last_name":"Old"}`+"\n", 1001+id) // a test that gets too few fails
		}
		return
	}
	var batch struct{ Edits []json.RawMessage }
	if err := json.NewDecoder(r.Body).Decode(&batch); err != nil {
		i.t.Errorf("read edits: %v", err)
	}
	i.edited += len(batch.Edits)
	_, _ = io.WriteString(w, "{}") // the same
}

func backfill(state string, processed int64) operatorapi.Backfill {
	total := int64(1_000)
	return operatorapi.Backfill{CustomerID: demoOrg, State: state, Processed: processed, Total: &total}
}
