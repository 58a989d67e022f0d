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

// mailer hands mails to one server. Nothing of a recipient comes into an error.
type mailer struct {
	server config.MailServer
	from   string
	roots  *x509.CertPool // nil: the system's
	gate   gate
	// loggedInBy is the way to log in that the server took last: a server may lock an account after some refusals.
	loggedInBy atomic.Value // string
}

// letter is one mail without its recipient.
type letter struct {
	kind                string
	subject, text, html string
	id                  string // of the message that it tells: the same id is the same Message-ID
	answers             string // the id of the message that it says the end of
}

// operatorNotice is a channel for each address: one that refuses a mail does not have the others get it again.
func (m *mailer) operatorNotice(address string, letter letter) notice {
	digest := sha256.Sum256([]byte(address))
	return notice{
		kind: letter.kind, channel: channelOperators + ":" + hex.EncodeToString(digest[:6]), way: channelOperators,
		send: func(ctx context.Context) error { return m.send(ctx, address, letter) },
	}
}

func (m *mailer) send(ctx context.Context, to string, letter letter) error {
	message, err := m.compose(to, letter)
	if err != nil {
		return err
	}
	return m.gate.through(func() error { return m.hand(ctx, message) })
}

// compose writes the mail with both parts.
func (m *mailer) compose(to string, letter letter) (*gomail.Msg, error) {
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
		return nil, fault.Permanent("mail_address", errors.New("the recipient's address is not one"))
	}
	message.Subject(oneLine(letter.subject))
	message.SetMessageIDWithValue(m.messageID(letter.id))
	if letter.answers != "" {
		raised := "<" + m.messageID(letter.answers) + ">"
		message.SetGenHeader(gomail.HeaderInReplyTo, raised)
		message.SetGenHeader(gomail.HeaderReferences, raised)
	}
	message.SetGenHeader("Auto-Submitted", "auto-generated") // no out-of-office answers, please
	message.SetBodyString(gomail.TypeTextPlain, letter.text)
	message.AddAlternativeString(gomail.TypeTextHTML, letter.html)
	return message, nil
}

// messageID is derived from a message's id, so that a repetition is recognised by mailboxes, and by people.
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

// hand gives the mail to the server. If the server refuses a way to log in, hand tries the next one.
func (m *mailer) hand(ctx context.Context, message *gomail.Msg) error {
	if m.server.User == "" {
		return m.converse(ctx, message, nil)
	}
	tried := &login{user: m.server.User, password: m.server.Password, host: m.server.Host}
	tried.first, _ = m.loggedInBy.Load().(string)
	for {
		err := m.converse(ctx, message, tried)
		if !tried.refusedNow {
			if tried.accepted {
				m.loggedInBy.Store(tried.way)
			}
			return err
		}
		if !tried.next() {
			return tried.refusal(err)
		}
	}
}

// converse is one conversation with the server.
func (m *mailer) converse(ctx context.Context, message *gomail.Msg, by *login) error {
	options := []gomail.Option{
		gomail.WithPort(m.server.Port), gomail.WithTimeout(mailTimeout),
		gomail.WithTLSConfig(&tls.Config{ServerName: m.server.Host, RootCAs: m.roots, MinVersion: tls.VersionTLS12}),
	}
	var conn net.Conn
	hangUp := func() bool { return true }
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
		// The library leaves a connection open on which it could not greet or log in, and talks on when ctx has ended.
		options = append(options, gomail.WithDialContextFunc(func(dialing context.Context, network, address string) (net.Conn, error) {
			var err error
			if conn, err = (&net.Dialer{}).DialContext(dialing, network, address); err == nil {
				open := conn
				hangUp = context.AfterFunc(ctx, func() { _ = open.Close() }) // its context ends with the dialling
			}
			return conn, err
		}))
	}
	if by != nil {
		options = append(options, gomail.WithSMTPAuthCustom(by))
	}
	client, err := gomail.NewClient(m.server.Host, options...)
	if err != nil {
		return downError{fault.Unknown("mail_server", errors.New("the mail server's settings cannot be used"))}
	}
	err = send(ctx, client, message, by)
	hangUp()
	if conn != nil {
		_ = conn.Close() // closed already where all went well
	}
	if err == nil || message.IsDelivered() { // an end of the conversation that failed takes nothing back
		return nil
	}
	return refusal(err)
}

// errNeedsUTF8 says that the server cannot take an address as it is.
var errNeedsUTF8 = errors.New("has characters outside ASCII before the @, and the mail server does not take such addresses (it offers no SMTPUTF8)")

func send(ctx context.Context, client *gomail.Client, message *gomail.Msg, by *login) error {
	connected, err := client.DialToSMTPClientWithContext(ctx)
	if by != nil {
		by.settle(err)
	}
	if err != nil {
		return err
	}
	if err = takesAddresses(connected, message); err == nil {
		err = client.SendWithSMTPClient(connected, message)
	}
	return errors.Join(err, client.CloseWithSMTPClient(connected))
}

// takesAddresses fails if the server cannot take the sender's or the recipient's address: without SMTPUTF8 each server makes
// of such an address what it likes.
func takesAddresses(connected *smtp.Client, message *gomail.Msg) error {
	if utf8, _ := connected.Extension("SMTPUTF8"); utf8 {
		return nil
	}
	for _, sender := range message.GetFrom() {
		if !config.IsASCII(sender.Address) {
			return downError{fault.Unknown("smtp_no_utf8", fmt.Errorf("MAIL_FROM %w", errNeedsUTF8))}
		}
	}
	for _, recipient := range message.GetTo() {
		if !config.IsASCII(recipient.Address) {
			return fault.Permanent("smtp_no_utf8", fmt.Errorf("the recipient's address %w", errNeedsUTF8))
		}
	}
	return nil
}

// refusal tells a mail that is refused from a server that takes none, in words without addresses.
func refusal(err error) error {
	if errors.Is(err, errNeedsUTF8) || errors.Is(err, errNoLogin) {
		return err
	}
	var sending *gomail.SendError
	if errors.As(err, &sending) && sending.ErrorCode() != 0 {
		code := "smtp_" + strconv.Itoa(sending.ErrorCode())
		text := fmt.Errorf("%s: the mail server answered %d", sending.Reason, sending.ErrorCode())
		switch {
		case sending.Reason == gomail.ErrSMTPMailFrom, sending.ErrorCode() == 421:
			// It does not take our sender, or it shuts down: no mail would get through.
			return downError{fault.Unknown(code, text)}
		case sending.IsTemp():
			return fault.Unknown(code, text)
		}
		return fault.Permanent(code, text)
	}
	if answered, ok := errors.AsType[*textproto.Error](err); ok {
		return downError{fault.Unknown("smtp_"+strconv.Itoa(answered.Code), fmt.Errorf("the mail server answered %d", answered.Code))}
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return downError{fault.Unknown("smtp_timeout", errors.New("the mail server did not answer in time"))}
	}
	if sending != nil {
		return downError{fault.Unknown("smtp_interrupted", fmt.Errorf("%s: the conversation was interrupted", sending.Reason))}
	}
	return downError{fault.Unknown("smtp_unreachable", fmt.Errorf("reach the mail server: %w", err))}
}

// oneLine keeps what a stranger may have written into an alert from being more than a subject.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
