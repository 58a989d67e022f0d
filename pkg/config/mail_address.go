package config

import (
	"errors"
	"fmt"
	"net/mail"
	"slices"
	"strings"

	"golang.org/x/net/idna"
)

// ErrMailAddress means that a text is not a mail address.
var ErrMailAddress = errors.New("is not a mail address")

// ErrMailDomain means that the domain of an address cannot be a name in DNS.
var ErrMailDomain = errors.New("has a domain that is no name in DNS")

// ParseMailAddress parses an address with or without a name. It converts a domain outside ASCII to its DNS form
// (punycode). A part before the @ that is outside ASCII stays; only mail servers with SMTPUTF8 accept it. Errors:
// ErrMailAddress, ErrMailDomain.
func ParseMailAddress(text string) (mail.Address, error) {
	parsed, err := mail.ParseAddress(strings.TrimSpace(text))
	if err != nil {
		return mail.Address{}, ErrMailAddress // the parser's error quotes the address
	}
	at := strings.LastIndexByte(parsed.Address, '@')
	local, domain := parsed.Address[:at], parsed.Address[at+1:]
	if !IsASCII(domain) {
		if domain, err = idna.Lookup.ToASCII(domain); err != nil {
			return mail.Address{}, ErrMailDomain // the converter's error quotes the domain
		}
	}
	return mail.Address{Name: parsed.Name, Address: local + "@" + domain}, nil
}

// IsASCII reports whether a text is all ASCII.
func IsASCII(text string) bool {
	for i := range len(text) {
		if text[i] >= 0x80 {
			return false
		}
	}
	return true
}

// AlertRecipients returns the addresses of ALERT_MAIL_TO. The error identifies a wrong address by its position in the
// list.
func (c Config) AlertRecipients() ([]string, error) {
	if strings.TrimSpace(c.AlertMailTo) == "" {
		return nil, nil
	}
	var recipients []string
	place := 0
	for text := range strings.SplitSeq(c.AlertMailTo, ",") {
		place++
		address, err := ParseMailAddress(text)
		if err != nil {
			return nil, fmt.Errorf("ALERT_MAIL_TO must be mail addresses, comma-separated: ops@example.org,oncall@example.org; number %d %w", place, err)
		}
		if !slices.Contains(recipients, address.Address) {
			recipients = append(recipients, address.Address)
		}
	}
	return recipients, nil
}
