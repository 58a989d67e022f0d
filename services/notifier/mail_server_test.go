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

// mailServer is a mail server that keeps the mails it accepts.
type mailServer struct {
	t           *testing.T
	address     string
	mails       *testkit.Signal[received]
	logins      bool
	mechanisms  []string // login mechanisms in the server's order; PLAIN if nil
	working     []string // mechanisms that work; the others answer 535
	utf8        bool     // accepts addresses outside ASCII
	attempted   []string // mechanism of each AUTH command
	implicitTLS bool     // TLS from the first byte
	tls         *tls.Config

	mu        sync.Mutex
	server    *smtp.Server
	served    sync.WaitGroup
	rejecting map[string]*smtp.SMTPError // by recipient; "" is the sender's
}

// received is an accepted mail.
type received struct {
	to      string
	secure  bool
	header  mail.Header
	text    string
	html    string
	subject string
}

func newMailServer(t *testing.T) *mailServer {
	t.Helper()
	server := &mailServer{t: t, address: "127.0.0.1:0", mails: testkit.NewSignal[received](), rejecting: map[string]*smtp.SMTPError{}}
	t.Cleanup(server.close)
	return server
}

func (m *mailServer) open() {
	m.t.Helper()
	server := smtp.NewServer(m)
	server.Domain, server.TLSConfig, server.AllowInsecureAuth = "mail.test", m.tls, false
	server.ErrorLog, server.EnableSMTPUTF8 = quiet{}, m.utf8
	var listener net.Listener
	require.Eventually(m.t, func() bool { // after a restart, the port may take a moment to be free again
		var err error
		listener, err = net.Listen("tcp", m.address)
		return err == nil
	}, timeout, 10*time.Millisecond)
	m.address = listener.Addr().String()
	if m.implicitTLS {
		listener = tls.NewListener(listener, m.tls)
	}
	m.mu.Lock()
	m.server = server
	m.mu.Unlock()
	m.served.Go(func() { _ = server.Serve(listener) }) // ends with close
}

type quiet struct{}

func (quiet) Printf(string, ...any) {}
func (quiet) Println(...any)        {}

func (m *mailServer) close() {
	m.mu.Lock()
	server := m.server
	m.server = nil
	m.mu.Unlock()
	if server != nil {
		require.NoError(m.t, server.Close())
	}
	m.served.Wait()
}

// reject makes the server answer mails to a recipient with code. 0 ends that.
func (m *mailServer) reject(recipient string, code int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.rejecting, recipient)
	if code != 0 {
		m.rejecting[recipient] = &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCode{code / 100, 1, 1}, Message: "no <" + recipient + ">"}
	}
}

func (m *mailServer) NewSession(conn *smtp.Conn) (smtp.Session, error) {
	return &session{server: m, conn: conn}, nil
}

// session is one connection of a client.
type session struct {
	server     *mailServer
	conn       *smtp.Conn
	isLoggedIn bool
	to         string
}

func (s *session) AuthMechanisms() []string {
	if !s.server.logins {
		return nil
	}
	if s.server.mechanisms != nil {
		return s.server.mechanisms
	}
	return []string{sasl.Plain}
}

func (s *session) Auth(mechanism string) (sasl.Server, error) {
	s.server.mu.Lock()
	s.server.attempted = append(s.server.attempted, mechanism)
	s.server.mu.Unlock()
	check := func(user, password string) error {
		if user != mailUser || password != mailPassword || (s.server.mechanisms != nil && !slices.Contains(s.server.working, mechanism)) {
			return smtp.ErrAuthFailed
		}
		s.isLoggedIn = true
		return nil
	}
	switch mechanism {
	case "LOGIN":
		return &challengeLogin{questions: []string{"Username:", "Password:"}, check: check}, nil
	case "CRAM-MD5": // no server that keeps hashed passwords can check it
		return &challengeLogin{questions: []string{"<1.2@mail.test>"}, check: check}, nil
	}
	return sasl.NewPlainServer(func(_, user, password string) error { return check(user, password) }), nil
}

// challengeLogin is a login mechanism that asks questions.
type challengeLogin struct {
	questions, answers []string
	check              func(user, password string) error
}

func (a *challengeLogin) Next(answer []byte) (challenge []byte, done bool, err error) {
	if answer != nil {
		a.answers = append(a.answers, string(answer))
	}
	if len(a.answers) < len(a.questions) {
		return []byte(a.questions[len(a.answers)]), false, nil
	}
	return nil, true, a.check(a.answers[0], a.answers[len(a.answers)-1])
}

// takeAttempted returns the mechanisms that were tried since the last call.
func (m *mailServer) takeAttempted() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	tried := m.attempted
	m.attempted = nil
	return tried
}

func (s *session) Mail(string, *smtp.MailOptions) error {
	if s.server.logins && !s.isLoggedIn {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	if refusal := s.server.rejecting[to]; refusal != nil {
		return refusal
	}
	s.to = to
	return nil
}

func (s *session) Data(content io.Reader) error {
	whole, err := io.ReadAll(content)
	if err != nil {
		return err
	}
	got := read(s.server.t, string(whole))
	got.to = s.to
	_, got.secure = s.conn.TLSConnectionState()
	s.server.mails.Send(got)
	return nil
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// read parses a mail.
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

func (m *mailServer) next() received { return m.mails.Wait(m.t, timeout) }

// requireNoMore fails if another mail arrives within a time in which a repetition would.
func (m *mailServer) requireNoMore() { m.mails.RequireNone(m.t) }
