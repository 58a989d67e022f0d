package main

import (
	"errors"
	"fmt"
	"net/textproto"
	"slices"
	"strings"

	"github.com/wneessen/go-mail/smtp"

	"rollcall.dev/pkg/fault"
)

// Login mechanisms. The first four do not show the password to a listener; PLAIN and LOGIN are used with TLS only.
const (
	mechanismSCRAM256 = "SCRAM-SHA-256"
	mechanismSCRAM1   = "SCRAM-SHA-1"
	mechanismNTLM     = "NTLM"
	mechanismCRAM     = "CRAM-MD5"
	mechanismPlain    = "PLAIN"
	mechanismLogin    = "LOGIN"
)

// errNoMechanism says that the server offers no mechanism that may be used.
var errNoMechanism = errors.New("the mail server offers no login mechanism that keeps the password secret on this connection")

// login is the library's smtp.Auth for one mail. Servers offer mechanisms that cannot work, for example CRAM-MD5 if they keep
// only hashed passwords. After a rejection the next mechanism is tried, each on a new connection.
type login struct {
	user, password, host    string
	preferred               string   // the mechanism that was accepted last, or ""
	rejected                []string // in order
	offered                 []string // mechanisms that the server offers and that may be used
	mechanism               string   // the current one
	isAccepted, rejectedNow bool
	smtp.Auth               // of the current mechanism
}

// Start chooses the mechanism.
func (l *login) Start(server *smtp.ServerInfo) (mechanism string, answer []byte, err error) {
	mechanisms := []string{mechanismSCRAM256, mechanismSCRAM1, mechanismNTLM, mechanismCRAM}
	if server.TLS {
		mechanisms = append(mechanisms, mechanismPlain, mechanismLogin)
	}
	l.offered = slices.DeleteFunc(mechanisms, func(mechanism string) bool { return !slices.Contains(server.Auth, mechanism) })
	l.mechanism = ""
	for _, mechanism := range append([]string{l.preferred}, l.offered...) {
		if slices.Contains(l.offered, mechanism) && !slices.Contains(l.rejected, mechanism) {
			l.mechanism = mechanism
			break
		}
	}
	switch l.mechanism {
	case "":
		return "", nil, channelDownError{fault.Unknown("smtp_no_login", errNoMechanism)}
	case mechanismSCRAM256:
		l.Auth = smtp.ScramSHA256Auth(l.user, l.password)
	case mechanismSCRAM1:
		l.Auth = smtp.ScramSHA1Auth(l.user, l.password)
	case mechanismNTLM:
		l.Auth = smtp.NTLMAuth(l.user, l.password, "")
	case mechanismCRAM:
		l.Auth = smtp.CRAMMD5Auth(l.user, l.password)
	case mechanismPlain:
		l.Auth = smtp.PlainAuth("", l.user, l.password, l.host, false)
	case mechanismLogin:
		l.Auth = smtp.LoginAuth(l.user, l.password, l.host, false)
	}
	return l.Auth.Start(server)
}

// noteResult notes whether the current mechanism was accepted. err is the error of connecting and logging in.
func (l *login) noteResult(err error) {
	answered, isAnswer := errors.AsType[*textproto.Error](err)
	l.isAccepted = err == nil
	l.rejectedNow = l.mechanism != "" && isAnswer && answered.Code >= 500
	if l.rejectedNow {
		l.rejected = append(l.rejected, l.mechanism)
	}
}

// hasNext returns whether there is another mechanism to try.
func (l *login) hasNext() bool {
	l.rejectedNow, l.mechanism = false, ""
	return slices.ContainsFunc(l.offered, func(mechanism string) bool { return !slices.Contains(l.rejected, mechanism) })
}

// rejection returns err with the names of the rejected mechanisms.
func (l *login) rejection(err error) error {
	text := fmt.Errorf("%w; rejected login mechanisms: %s", err, strings.Join(l.rejected, ", "))
	return channelDownError{fault.Unknown(fault.CodeOf(err), text)}
}
