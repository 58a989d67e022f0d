package main

import (
	"crypto/tls"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

const (
	mailUser     = "robot"
	mailPassword = "correct-horse-battery"
)

// postOffice is a mail server that keeps what it takes.
type postOffice struct {
	t       *testing.T
	address string
	came    *testkit.Signal[received]
	logins  bool
	ways    []string // to log in, in the server's order; PLAIN if nil
	works   []string // of these; the others answer 535
	utf8    bool     // takes addresses outside ASCII
	tried   []string // each AUTH that came
	atOnce  bool     // TLS from the first byte
	tls     *tls.Config

	mu       sync.Mutex
	server   *smtp.Server
	served   sync.WaitGroup
	refusing map[string]*smtp.SMTPError // by recipient; "" is the sender's
}

// received is a mail as it was taken.
type received struct {
	to      string
	secure  bool
	header  mail.Header
	text    string
	html    string
	subject string
}

func newPostOffice(t *testing.T) *postOffice {
	t.Helper()
	office := &postOffice{t: t, address: "127.0.0.1:0", came: testkit.NewSignal[received](), refusing: map[string]*smtp.SMTPError{}}
	t.Cleanup(office.close)
	return office
}

func (o *postOffice) open() {
	o.t.Helper()
	server := smtp.NewServer(o)
	server.Domain, server.TLSConfig, server.AllowInsecureAuth = "mail.test", o.tls, false
	server.ErrorLog, server.EnableSMTPUTF8 = quiet{}, o.utf8
	var listener net.Listener
	require.Eventually(o.t, func() bool { // where it was open before, the port may take a moment to be free again
		var err error
		listener, err = net.Listen("tcp", o.address)
		return err == nil
	}, within, 10*time.Millisecond)
	o.address = listener.Addr().String()
	if o.atOnce {
		listener = tls.NewListener(listener, o.tls)
	}
	o.mu.Lock()
	o.server = server
	o.mu.Unlock()
	o.served.Go(func() { _ = server.Serve(listener) }) // ends with close
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func (o *postOffice) close() {
	o.mu.Lock()
	server := o.server
	o.server = nil
	o.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
	o.served.Wait()
}

// refuse answers mails to a recipient with a code, until it is 0.
func (o *postOffice) refuse(recipient string, code int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.refusing, recipient)
	if code != 0 {
		o.refusing[recipient] = &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "no <" + recipient + ">"}
	}
}

func (o *postOffice) NewSession(conn *smtp.Conn) (smtp.Session, error) {
	return &counter{office: o, conn: conn}, nil
}

// counter is one conversation.
type counter struct {
	office *postOffice
	conn   *smtp.Conn
	known  bool
	to     string
}

func (c *counter) AuthMechanisms() []string {
	if !c.office.logins {
		return nil
	}
	if c.office.ways != nil {
		return c.office.ways
	}
	return []string{sasl.Plain}
}

func (c *counter) Auth(way string) (sasl.Server, error) {
	c.office.mu.Lock()
	c.office.tried = append(c.office.tried, way)
	c.office.mu.Unlock()
	check := func(user, password string) error {
		if user != mailUser || password != mailPassword || (c.office.ways != nil && !slices.Contains(c.office.works, way)) {
			return smtp.ErrAuthFailed
		}
		c.known = true
		return nil
	}
	switch way {
	case "LOGIN":
		return &asked{questions: []string{"Username:", "Password:"}, check: check}, nil
	case "CRAM-MD5": // no server that keeps hashed passwords can check it
		return &asked{questions: []string{"<1.2@mail.test>"}, check: check}, nil
	}
	return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
}

// asked is a way to log in by questions.
type asked struct {
	questions, answers []string
	check              func(user, password string) error
}

func (a *asked) Next(answer []byte) (challenge []byte, done bool, err error) {
	if answer != nil {
		a.answers = append(a.answers, string(answer))
	}
	if len(a.answers) < len(a.questions) {
		return []byte(a.questions[len(a.answers)]), false, nil
	}
	return nil, true, a.check(a.answers[0], a.answers[len(a.answers)-1])
}

// triedWays are the ways that were tried since the last call.
func (o *postOffice) triedWays() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	tried := o.tried
	o.tried = nil
	return tried
}

func (c *counter) Mail(string, *smtp.MailOptions) error {
	if c.office.logins && !c.known {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (c *counter) Rcpt(to string, _ *smtp.RcptOptions) error {
	c.office.mu.Lock()
	defer c.office.mu.Unlock()
	if refusal := c.office.refusing[to]; refusal != nil {
		return refusal
	}
	c.to = to
	return nil
}

func (c *counter) Data(content io.Reader) error {
	whole, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	got := read(c.office.t, string(whole))
	got.to = c.to
	_, got.secure = c.conn.TLSConnectionState()
	c.office.came.Send(got)
	return nil
}

func (c *counter) Reset()        {}
func (c *counter) Logout() error { return nil }

// read takes a mail apart, as a mailbox does.
func read(t *testing.T, whole string) received {
	t.Helper()
	message, err := mail.ReadMessage(strings.NewReader(whole))
	if err != nil {
		t.Errorf("read mail: %v", err)
		return received{}
	}
	got := received{header: message.Header}
	if got.subject, err = new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject")); err != nil {
		t.Errorf("read subject: %v", err)
	}
	kind, parameters, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Errorf("a mail of type %s: %v", kind, err)
		return got
	}
	parts := multipart.NewReader(message.Body, parameters["boundary"])
	for {
		part, err := parts.NextRawPart()
		if err != nil {
			return got
		}
		var body io.Reader = part
		if part.Header.Get("Content-Transfer-Encoding") == "quoted-printable" {
			body = quotedprintable.NewReader(part)
		}
		content, err := io.ReadAll(body)
		if err != nil {
			t.Errorf("read part: %v", err)
		}
		text := strings.ReplaceAll(string(content), "\r\n", "\n")
		if strings.HasPrefix(part.Header.Get("Content-Type"), "text/html") {
			got.html = text
		} else {
			got.text = text
		}
	}
}

func (o *postOffice) next() received { return o.came.Wait(o.t, within) }

// nothing says that no more came in a time in which a repetition would have.
func (o *postOffice) nothingMore() { o.came.RequireNone(o.t) }
