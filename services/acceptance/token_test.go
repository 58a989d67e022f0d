package acceptance_test

import (
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
)

// mailServer is a mail server that keeps the mails it accepts, with their recipients.
type mailServer struct {
	mu    sync.Mutex
	mails []string
}

// newMailServer starts a mail server and returns its URL for SMTP_URL.
func newMailServer(t *testing.T) (server *mailServer, url string) {
	t.Helper()
	server = &mailServer{}
	listening := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mailSession{server: server}, nil }))
	listening.Domain = "mail.test"
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() { _ = listening.Serve(listener) }) // ends with Close
	t.Cleanup(func() {
		require.NoError(t, listening.Close())
		serving.Wait()
	})
	return server, "smtp://" + listener.Addr().String() + "?tls=none"
}

// got returns the mails that contain a text.
func (m *mailServer) got(text string) (mails []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mail := range m.mails {
		if strings.Contains(mail, text) {
			mails = append(mails, mail)
		}
	}
	return mails
}

// mailSession is one connection of a client.
type mailSession struct {
	server *mailServer
	to     []string
}

func (s *mailSession) Mail(string, *smtp.MailOptions) error { return nil }
func (s *mailSession) Reset()                               { s.to = nil }
func (s *mailSession) Logout() error                        { return nil }

func (s *mailSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *mailSession) Data(from io.Reader) error {
	mail, err := io.ReadAll(from)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, "to: "+strings.Join(s.to, ",")+"\n"+string(mail))
	return err
}

func TestRevokedTokenSwitchesCustomerOffOnceAndNewTokenContinuesFromCheckpoint(t *testing.T) {
	t.Parallel()
	server, smtpURL := newMailServer(t)
	settings := map[string]string{"SMTP_URL": smtpURL, "MAIL_FROM": "rollcall@partner.example", "ALERT_MAIL_TO": "ops@partner.example"}
	maps.Copy(settings, fast)
	f := newFixture(t, settings)
	f.advance(0)
	f.organisation("acme", 450)
	for _, program := range []string{programOnboarding, programBackfill, programPoller, programNotifier} {
		f.start(program)
	}
	request := f.request("acme")
	request["pollCadenceMinutes"], request["limits"] = 25, map[string]any{"requestsPerSecond": 50_000}
	request["destination"] = map[string]any{"kind": "rest", "url": request["externalSystemUrl"], "token": "crm-key"}
	delete(request, "externalSystemUrl")
	f.control(http.MethodPut, "/control/crm/acme/token", map[string]any{"token": "crm-key"}, nil)
	f.publish(bus.SubjectOnboard("acme"), request)
	f.awaitState("acme", "completed", longest)
	asked := ask[operatorapi.Config](f, "config", "get", operatorapi.ConfigQuestion{CustomerID: "acme"})
	require.True(t, asked.HasDestinationAuth)
	f.afterPolls(soon)
	f.control(http.MethodPost, "/control/orgs/acme/revoke", nil, nil)
	f.batch("acme", map[string]any{"edits": []map[string]any{{"id": 1003, "phone": "+15551234567"}}})

	f.advance(31 * time.Minute) // one poll

	f.await(soon, "the customer is switched off", func() bool {
		return f.count(`SELECT count(*) FROM sync_configs WHERE NOT enabled AND disabled_reason = 'auth_failed'`) == 1
	})
	f.advance(time.Minute) // within a minute it could be VOMO's fault
	f.await(soon, "its admin has a mail", func() bool { return len(server.got(".vomo_token_invalid@")) > 0 })
	status := f.status("acme")
	require.False(t, status.Integration.Enabled)
	require.NotNil(t, status.Health.IsHealthy)
	require.False(t, *status.Health.IsHealthy)
	for range 3 { // VOMO gets no more requests, and no alert is sent again
		f.advance(31 * time.Minute)
		f.poll("acme")
		f.await(soon, "a poll asked for by hand is settled", func() bool { return f.subjects(bus.StreamPoll, ">") == 0 })
	}
	require.Len(t, server.got(".vomo_token_invalid@"), 1)
	require.Contains(t, server.got(".vomo_token_invalid@")[0], "to: it@acme.example\n")
	require.Equal(t, 1, f.messages(bus.StreamAlerts, "rollcall.alerts.high.auth_failed.acme"), "one alert")
	require.LessOrEqual(t, f.traffic().VOMO["acme"].Statuses["401"], 3, "the poll's, the second look, and one try an hour later")

	f.control(http.MethodPost, "/control/orgs/acme/restore", nil, nil)
	f.control(http.MethodPost, "/control/report/reset", nil, nil)
	polls := f.polls("acme")
	f.publish(bus.SubjectOnboard("acme"), map[string]any{"customerId": "acme", "vomoToken": "acme-token"})
	f.await(soon, "polling goes on", func() bool { return f.polls("acme") > polls })

	require.Equal(t, comparison{Source: 450, Destination: 450, Same: 450}, f.compare("acme"))
	require.Equal(t, 1, f.count(`SELECT count(*) FROM all_runs WHERE kind = 'backfill'`), "no backfill")
	require.LessOrEqual(t, f.traffic().VOMO["acme"].Pages, 3, "the token's test and the poll's pages: none of a full scan")
	f.await(soon, "its end is published", func() bool {
		return f.messages(bus.StreamAlerts, "rollcall.alerts.high.auth_failed.acme") == 2
	})
	require.True(t, f.status("acme").Integration.Enabled)
	require.Equal(t, asked, ask[operatorapi.Config](f, "config", "get", operatorapi.ConfigQuestion{CustomerID: "acme"}), "a token alone takes no setting away")
}

// status returns a customer's status as operators see it.
func (f *fixture) status(customer string) report.Status {
	f.t.Helper()
	return ask[report.Status](f, "status", "get", report.StatusQuestion{CustomerID: customer})
}
