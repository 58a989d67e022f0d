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
	"rollcall.dev/pkg/report"
)

// postOffice is a mail server that keeps what it takes: recipients and the mail as it came.
type postOffice struct {
	mu    sync.Mutex
	mails []string
}

// openPostOffice starts one for the test, and returns its URL for SMTP_URL.
func openPostOffice(t *testing.T) (office *postOffice, url string) {
	t.Helper()
	office = &postOffice{}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &conversation{office: office}, nil }))
	server.Domain = "mail.test"
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) }) // ends with Close
	t.Cleanup(func() {
		_ = server.Close()
		serving.Wait()
	})
	return office, "smtp://" + listener.Addr().String() + "?tls=none"
}

// got are the mails that hold a text.
func (o *postOffice) got(text string) (mails []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, mail := range o.mails {
		if strings.Contains(mail, text) {
			mails = append(mails, mail)
		}
	}
	return mails
}

// conversation is one delivery.
type conversation struct {
	office *postOffice
	to     []string
}

func (c *conversation) Mail(string, *smtp.MailOptions) error { return nil }
func (c *conversation) Reset()                               { c.to = nil }
func (c *conversation) Logout() error                        { return nil }

func (c *conversation) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.to = append(c.to, to)
	return nil
}

func (c *conversation) Data(from io.Reader) error {
	mail, err := io.ReadAll(from)
	c.office.mu.Lock()
	defer c.office.mu.Unlock()
	c.office.mails = append(c.office.mails, "to: "+strings.Join(c.to, ",")+"\n"+string(mail))
	return err
}

func TestARevokedTokenSwitchesTheCustomerOffOnceAndANewOneGoesOnFromTheCheckpoint(t *testing.T) {
	t.Parallel()
	office, smtpURL := openPostOffice(t)
	settings := map[string]string{"SMTP_URL": smtpURL, "MAIL_FROM": "rollcall@partner.example", "ALERT_MAIL_TO": "ops@partner.example"}
	maps.Copy(settings, fast)
	h := newHouse(t, settings)
	h.ahead(0)
	h.organisation("acme", 450)
	for _, program := range []string{programOnboarding, programBackfill, programPoller, programNotifier} {
		h.start(program)
	}
	request := h.request("acme")
	request["pollCadenceMinutes"], request["limits"] = 25, map[string]any{"requestsPerSecond": 50_000}
	request["destination"] = map[string]any{"kind": "rest", "url": request["externalSystemUrl"], "token": "crm-key"}
	delete(request, "externalSystemUrl")
	h.control(http.MethodPut, "/control/crm/acme/token", map[string]any{"token": "crm-key"}, nil)
	h.publish(bus.SubjectOnboard("acme"), request)
	h.untilState("acme", "completed", longest)
	asked := answered[report.Config](h, "config", "get", report.ConfigQuestion{CustomerID: "acme"})
	require.True(t, asked.HasDestinationAuth)
	h.afterPolls(soon)
	h.control(http.MethodPost, "/control/orgs/acme/revoke", nil, nil)
	h.batch("acme", map[string]any{"edits": []map[string]any{{"id": 1003, "phone": "+15551234567"}}})

	h.ahead(31 * time.Minute) // one poll

	h.until(soon, "the customer is switched off", func() bool {
		return h.count(`SELECT count(*) FROM sync_configs WHERE NOT enabled AND disabled_reason = 'auth_failed'`) == 1
	})
	h.ahead(time.Minute) // it might have been VOMO's fault
	h.until(soon, "its admin has a mail", func() bool { return len(office.got(".vomo_token_invalid@")) > 0 })
	status := h.status("acme")
	require.False(t, status.Integration.Enabled)
	require.NotNil(t, status.Health.IsHealthy)
	require.False(t, *status.Health.IsHealthy)
	for range 3 { // VOMO is asked no more, and no alert is sent again
		h.ahead(31 * time.Minute)
		h.poll("acme")
		h.until(soon, "a poll asked for by hand is settled", func() bool { return h.subjects(bus.StreamPoll, ">") == 0 })
	}
	require.Len(t, office.got(".vomo_token_invalid@"), 1)
	require.Contains(t, office.got(".vomo_token_invalid@")[0], "to: it@acme.example\n")
	require.Equal(t, 1, h.messages(bus.StreamAlerts, "rollcall.alerts.high.auth_failed.acme"), "one alert")
	require.LessOrEqual(t, h.traffic().VOMO["acme"].Statuses["401"], 3, "the poll's, the second look, and one try an hour later")

	h.control(http.MethodPost, "/control/orgs/acme/restore", nil, nil)
	h.control(http.MethodPost, "/control/report/reset", nil, nil)
	polls := h.polls("acme")
	h.publish(bus.SubjectOnboard("acme"), map[string]any{"customerId": "acme", "vomoToken": "acme-token"})
	h.until(soon, "polling goes on", func() bool { return h.polls("acme") > polls })

	require.Equal(t, comparison{Source: 450, Destination: 450, Same: 450}, h.compare("acme"))
	require.Equal(t, 1, h.count(`SELECT count(*) FROM backfill_runs`), "no backfill")
	require.LessOrEqual(t, h.traffic().VOMO["acme"].Pages, 3, "the token's test and the poll's pages: none of a full scan")
	h.until(soon, "that it is over is told", func() bool {
		return h.messages(bus.StreamAlerts, "rollcall.alerts.high.auth_failed.acme") == 2
	})
	require.True(t, h.status("acme").Integration.Enabled)
	require.Equal(t, asked, answered[report.Config](h, "config", "get", report.ConfigQuestion{CustomerID: "acme"}), "a token alone takes no setting away")
}

// status is a customer's status as operators see it.
func (h *house) status(customer string) report.Status {
	h.t.Helper()
	return answered[report.Status](h, "status", "get", report.StatusQuestion{CustomerID: customer})
}
