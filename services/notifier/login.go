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

// Ways to log in. The first four do not show the password to a listener; PLAIN and LOGIN are for TLS alone.
const (
	waySCRAM256 = "SCRAM-SHA-256"
	waySCRAM1   = "SCRAM-SHA-1"
	wayNTLM     = "NTLM"
	wayCRAM     = "CRAM-MD5"
	wayPlain    = "PLAIN"
	wayLogin    = "LOGIN"
)

// errNoLogin says that the server offers no way that may be used.
var errNoLogin = errors.New("the mail server offers no way to log in that keeps the password secret on this connection")

// login is the library's smtp.Auth for one mail. Servers offer ways that cannot work, CRAM-MD5 for one if they keep hashed
// passwords only: after a refusal the next way is tried, each on a new connection.
type login struct {
	user, password, host string
	first                string   // the way that worked last, "" if none did
	refused              []string // in their order
	offered              []string // ways that the server offers and that may be used
	way                  string   // the present one
	accepted, refusedNow bool
	smtp.Auth            // the present way's
}

// Start chooses the way.
func (l *login) Start(server *smtp.ServerInfo) (mechanism string, answer []byte, err error) {
	ways := []string{waySCRAM256, waySCRAM1, wayNTLM, wayCRAM}
	if server.TLS {
		ways = append(ways, wayPlain, wayLogin)
	}
	l.offered = slices.DeleteFunc(ways, func(way string) bool { return !slices.Contains(server.Auth, way) })
	l.way = ""
	for _, way := range append([]string{l.first}, l.offered...) {
		if slices.Contains(l.offered, way) && !slices.Contains(l.refused, way) {
			l.way = way
			break
		}
	}
	switch l.way {
	case "":
		return "", nil, downError{fault.Unknown("smtp_no_login", errNoLogin)}
	case waySCRAM256:
		l.Auth = smtp.ScramSHA256Auth(l.user, l.password)
	case waySCRAM1:
		l.Auth = smtp.ScramSHA1Auth(l.user, l.password)
	case wayNTLM:
		l.Auth = smtp.NTLMAuth(l.user, l.password, "")
	case wayCRAM:
		l.Auth = smtp.CRAMMD5Auth(l.user, l.password)
	case wayPlain:
		l.Auth = smtp.PlainAuth("", l.user, l.password, l.host, false)
	case wayLogin:
		l.Auth = smtp.LoginAuth(l.user, l.password, l.host, false)
	}
	return l.Auth.Start(server)
}

// settle notes what became of the present way; err is the conversation's up to and with the login.
func (l *login) settle(err error) {
	answered, isAnswer := errors.AsType[*textproto.Error](err)
	l.accepted = err == nil
	l.refusedNow = l.way != "" && isAnswer && answered.Code >= 500
	if l.refusedNow {
		l.refused = append(l.refused, l.way)
	}
}

// next says whether there is another way to try.
func (l *login) next() bool {
	l.refusedNow, l.way = false, ""
	return slices.ContainsFunc(l.offered, func(way string) bool { return !slices.Contains(l.refused, way) })
}

// refusal names the ways that were refused.
func (l *login) refusal(err error) error {
	text := fmt.Errorf("%w; refused ways to log in: %s", err, strings.Join(l.refused, ", "))
	return downError{fault.Unknown(fault.CodeOf(err), text)}
}
