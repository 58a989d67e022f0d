package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	gomail "github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/fault"
)

// mailTimeout bounds each step of a conversation with the mail server.
const mailTimeout = 15 * time.Second

// mailer delivers mails to one server. Its errors contain nothing of a recipient.
type mailer struct {
	server config.MailServer
	from   string
	roots  *x509.CertPool // nil: the system's
	gate   gate
	// lastMechanism is the login mechanism that the server accepted last. It is tried first, because a server may lock an
	// account after some failed logins.
	lastMechanism atomic.Value // string
}

// mailContent is a mail without its recipient.
type mailContent struct {
	kind                string
	subject, text, html string
	id                  string // of the message that it is about: the same id gives the same Message-ID
	inReplyTo           string // the id of the "raised" message, if this mail says that the alert was cleared
}

// noticeTo returns a notice on the address's own channel: if one address fails, the others do not get the mail again.
func (m *mailer) noticeTo(address string, mail mailContent) notice {
	digest := sha256.Sum256([]byte(address))
	return notice{
		kind: mail.kind, channel: channelOperators + ":" + hex.EncodeToString(digest[:6]), channelType: channelOperators,
		send: func(ctx context.Context) error { return m.send(ctx, address, mail) },
	}
}

func (m *mailer) send(ctx context.Context, to string, mail mailContent) error {
	message, err := m.compose(to, mail)
	if err != nil {
		return err
	}
	return m.gate.run(func() error { return m.deliver(ctx, message) })
}

// compose returns the mail with a text and an HTML part.
func (m *mailer) compose(to string, mail mailContent) (*gomail.Msg, error) {
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	from, err := config.ParseMailAddress(m.from)
	if err == nil {
		err = message.FromFormat(from.Name, from.Address)
	}
	if err != nil {
		return nil, fault.Permanent("mail_from", errors.New("MAIL_FROM is not a mail address"))
	}
	recipient, err := config.ParseMailAddress(to)
	if errors.Is(err, config.ErrMailDomain) {
		return nil, fault.Permanent("mail_address", fmt.Errorf("the recipient's address %w", err))
	}
	if err != nil || message.To(recipient.Address) != nil {
		return nil, fault.Permanent("mail_address", errors.New("the recipient's address is not a mail address"))
	}
	message.Subject(oneLine(mail.subject))
	message.SetMessageIDWithValue(m.messageID(mail.id))
	if mail.inReplyTo != "" {
		raised := "<" + m.messageID(mail.inReplyTo) + ">"
		message.SetGenHeader(gomail.HeaderInReplyTo, raised)
		message.SetGenHeader(gomail.HeaderReferences, raised)
	}
	message.SetGenHeader("Auto-Submitted", "auto-generated") // no out-of-office answers, please
	message.SetBodyString(gomail.TypeTextPlain, mail.text)
	message.AddAlternativeString(gomail.TypeTextHTML, mail.html)
	return message, nil
}

// messageID derives the Message-ID from a message's id, so that mailboxes recognise a repetition.
func (m *mailer) messageID(id string) string {
	for _, char := range id {
		if (char < 'a' || char > 'z') && (char < 'A' || char > 'Z') && (char < '0' || char > '9') && !strings.ContainsRune(".-_", char) {
			digest := sha256.Sum256([]byte(id))
			id = hex.EncodeToString(digest[:16])
			break
		}
	}
	domain := "rollcall.invalid"
	if sender, err := config.ParseMailAddress(m.from); err == nil {
		domain = sender.Address[strings.LastIndexByte(sender.Address, '@')+1:]
	}
	return "rollcall." + id + "@" + domain
}

// deliver gives the mail to the server. If the server rejects a login mechanism, deliver tries the next one.
func (m *mailer) deliver(ctx context.Context, message *gomail.Msg) error {
	if m.server.User == "" {
		return m.deliverOnce(ctx, message, nil)
	}
	auth := &login{user: m.server.User, password: m.server.Password, host: m.server.Host}
	auth.preferred, _ = m.lastMechanism.Load().(string)
	for {
		err := m.deliverOnce(ctx, message, auth)
		if !auth.rejectedNow {
			if auth.isAccepted {
				m.lastMechanism.Store(auth.mechanism)
			}
			return err
		}
		if !auth.hasNext() {
			return auth.rejection(err)
		}
	}
}

// deliverOnce tries one connection to the server, with one login mechanism.
func (m *mailer) deliverOnce(ctx context.Context, message *gomail.Msg, auth *login) error {
	options := []gomail.Option{
		gomail.WithPort(m.server.Port), gomail.WithTimeout(mailTimeout),
		gomail.WithTLSConfig(&tls.Config{ServerName: m.server.Host, RootCAs: m.roots, MinVersion: tls.VersionTLS12}),
	}
	var conn net.Conn
	stopWatching := func() bool { return true }
	switch m.server.TLS {
	case config.TLSAtOnce:
		options = append(options, gomail.WithSSL())
	case config.TLSRequired:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSMandatory))
	case config.TLSWhereOffered:
		options = append(options, gomail.WithTLSPolicy(gomail.TLSOpportunistic))
	case config.TLSNone:
		options = append(options, gomail.WithTLSPolicy(gomail.NoTLS))
	}
	if m.server.TLS != config.TLSAtOnce {
		// The library does not close a connection on which the greeting or login failed, and goes on after ctx has ended.
		options = append(options, gomail.WithDialContextFunc(func(dialing context.Context, network, address string) (net.Conn, error) {
			var err error
			if conn, err = (&net.Dialer{}).DialContext(dialing, network, address); err == nil {
				open := conn
				stopWatching = context.AfterFunc(ctx, func() { _ = open.Close() }) // the dial context ends with the dialling
			}
			return conn, err
		}))
	}
	if auth != nil {
		options = append(options, gomail.WithSMTPAuthCustom(auth))
	}
	client, err := gomail.NewClient(m.server.Host, options...)
	if err != nil {
		return channelDownError{fault.Unknown("mail_server", errors.New("the mail server's settings cannot be used"))}
	}
	err = sendMessage(ctx, client, message, auth)
	stopWatching()
	if conn != nil {
		_ = conn.Close() // already closed after success
	}
	if err == nil || message.IsDelivered() { // the mail is delivered even if closing the connection failed
		return nil
	}
	return classifySMTPError(err)
}

// errNeedsUTF8 says that the server cannot accept an address that is not ASCII.
var errNeedsUTF8 = errors.New("has characters outside ASCII before the @, and the mail server does not accept such addresses (it offers no SMTPUTF8)")

func sendMessage(ctx context.Context, client *gomail.Client, message *gomail.Msg, auth *login) error {
	connected, err := client.DialToSMTPClientWithContext(ctx)
	if auth != nil {
		auth.noteResult(err)
	}
	if err != nil {
		return err
	}
	if err = checkAddresses(connected, message); err == nil {
		err = client.SendWithSMTPClient(connected, message)
	}
	return errors.Join(err, client.CloseWithSMTPClient(connected))
}

// checkAddresses fails if the server cannot accept the sender's or the recipient's address. Without SMTPUTF8, each server
// handles an address outside ASCII differently.
func checkAddresses(connected *smtp.Client, message *gomail.Msg) error {
	if utf8, _ := connected.Extension("SMTPUTF8"); utf8 {
		return nil
	}
	for _, sender := range message.GetFrom() {
		if !config.IsASCII(sender.Address) {
			return channelDownError{fault.Unknown("smtp_no_utf8", fmt.Errorf("MAIL_FROM %w", errNeedsUTF8))}
		}
	}
	for _, recipient := range message.GetTo() {
		if !config.IsASCII(recipient.Address) {
			return fault.Permanent("smtp_no_utf8", fmt.Errorf("the recipient's address %w", errNeedsUTF8))
		}
	}
	return nil
}

// classifySMTPError distinguishes a mail that is rejected from a server that accepts none. Its texts contain no addresses.
func classifySMTPError(err error) error {
	if errors.Is(err, errNeedsUTF8) || errors.Is(err, errNoMechanism) {
		return err
	}
	var sending *gomail.SendError
	if errors.As(err, &sending) && sending.ErrorCode() != 0 {
		code := "smtp_" + strconv.Itoa(sending.ErrorCode())
		text := fmt.Errorf("%s: the mail server answered %d", sending.Reason, sending.ErrorCode())
		switch {
		case sending.Reason == gomail.ErrSMTPMailFrom, sending.ErrorCode() == 421:
			// The server rejects our sender, or shuts down: it would accept no other mail either.
			return channelDownError{fault.Unknown(code, text)}
		case sending.IsTemp():
			return fault.Unknown(code, text)
		}
		return fault.Permanent(code, text)
	}
	if answered, ok := errors.AsType[*textproto.Error](err); ok {
		return channelDownError{fault.Unknown("smtp_"+strconv.Itoa(answered.Code), fmt.Errorf("the mail server answered %d", answered.Code))}
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return channelDownError{fault.Unknown("smtp_timeout", errors.New("the mail server did not answer in time"))}
	}
	if sending != nil {
		return channelDownError{fault.Unknown("smtp_interrupted", fmt.Errorf("%s: the connection was interrupted", sending.Reason))}
	}
	return channelDownError{fault.Unknown("smtp_unreachable", fmt.Errorf("reach the mail server: %w", err))}
}

// oneLine removes line breaks: text that a stranger wrote into an alert must not add mail headers.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
