package config

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
)

// MailServer is the parsed SMTP_URL. The zero value means no mail server.
type MailServer struct {
	Host     string
	Port     int
	User     string // "": none is given
	Password string
	TLS      MailTLS
}

// MailTLS says how the connection to the mail server is protected.
type MailTLS int

const (
	// TLSWhereOffered uses STARTTLS if the server offers it. No password is sent in this mode.
	TLSWhereOffered MailTLS = iota
	// TLSRequired sends nothing before STARTTLS.
	TLSRequired
	// TLSAtOnce is smtps: TLS from the first byte.
	TLSAtOnce
	// TLSNone is plain text; only on request.
	TLSNone
)

const (
	portSMTP       = 25
	portSubmission = 587
	portSMTPS      = 465
)

// errMailServer names the accepted forms of SMTP_URL; the value itself is a secret.
var errMailServer = errors.New("SMTP_URL must be smtp://user:password@host:587, smtps://user:password@host:465 or smtp://host:25?tls=none")

// errPlainPassword means that the password would be sent unencrypted.
var errPlainPassword = errors.New("SMTP_URL must not have both a password and tls=none")

// ParseMailServer parses SMTP_URL. Its errors name the setting and never print its value.
func ParseMailServer(text string) (MailServer, error) {
	if text == "" {
		return MailServer{}, nil
	}
	address, err := url.Parse(text)
	if err != nil || address.Hostname() == "" || strings.Trim(address.Path, "/") != "" || address.Fragment != "" {
		return MailServer{}, errMailServer
	}
	server := MailServer{Host: address.Hostname()}
	if address.User != nil {
		server.User = address.User.Username()
		server.Password, _ = address.User.Password()
		if server.User == "" || server.Password == "" {
			return MailServer{}, errMailServer
		}
	}
	if server.TLS, err = mailTLS(address, server.User != ""); err != nil {
		return MailServer{}, err
	}
	switch {
	case server.TLS == TLSAtOnce:
		server.Port = portSMTPS
	case server.User != "":
		server.Port = portSubmission
	default:
		server.Port = portSMTP
	}
	if port := address.Port(); port != "" {
		if server.Port, err = strconv.Atoi(port); err != nil || server.Port < 1 || server.Port > 65535 {
			return MailServer{}, errMailServer
		}
	}
	return server, nil
}

func mailTLS(address *url.URL, withPassword bool) (MailTLS, error) {
	query, err := url.ParseQuery(address.RawQuery)
	if err != nil || len(query) > 1 || (len(query) == 1 && !query.Has("tls")) {
		return 0, errMailServer
	}
	switch asked := query.Get("tls"); {
	case address.Scheme == "smtps" && asked == "":
		return TLSAtOnce, nil
	case address.Scheme != "smtp":
		return 0, errMailServer
	case asked == "none" && withPassword:
		return 0, errPlainPassword
	case asked == "none":
		return TLSNone, nil
	case asked == "required", asked == "" && withPassword:
		return TLSRequired, nil
	case asked == "":
		return TLSWhereOffered, nil
	}
	return 0, errMailServer
}

// checkNotices checks the settings for notifications.
func (c Config) checkNotices() []error {
	var problems []error
	if _, err := ParseMailServer(c.SMTPURL); err != nil {
		problems = append(problems, err)
	}
	switch _, err := ParseMailAddress(c.MailFrom); {
	case c.MailFrom == "" && c.SMTPURL != "":
		problems = append(problems, errors.New("MAIL_FROM is missing: SMTP_URL needs a sender, such as rollcall@example.org"))
	case c.MailFrom != "" && err != nil:
		problems = append(problems, errors.New("MAIL_FROM must be a mail address, such as rollcall@example.org or Rollcall <rollcall@example.org>"))
	}
	recipients, err := c.AlertRecipients()
	if err != nil {
		problems = append(problems, err)
	}
	if len(recipients) > 0 && c.SMTPURL == "" {
		problems = append(problems, errors.New("ALERT_MAIL_TO needs SMTP_URL: there is no mail server to send by"))
	}
	return append(problems, c.checkWebhook()...)
}

func (c Config) checkWebhook() []error {
	var problems []error
	if c.AlertWebhookURL != "" {
		if target, err := url.Parse(c.AlertWebhookURL); err != nil || (target.Scheme != "https" && target.Scheme != "http") || target.Host == "" {
			problems = append(problems, errors.New("ALERT_WEBHOOK_URL must be an absolute http or https URL"))
		}
	}
	if c.AlertWebhookSecret != "" {
		const least, most = 24, 64 // from the Standard Webhooks specification
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(c.AlertWebhookSecret, "whsec_"))
		if err != nil || len(key) < least || len(key) > most {
			problems = append(problems, fmt.Errorf("ALERT_WEBHOOK_SECRET must be whsec_ and the base64 of %d to %d random bytes", least, most))
		}
	}
	return problems
}
