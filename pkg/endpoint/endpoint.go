// Package endpoint owns what the clients of VOMO and Virtuous know of any HTTP API: what a base URL and a credential may be, and why a
// request got no answer.
//
// It promises that no error quotes a URL, a credential or an answer. It sends nothing, and decides nothing about retries.
package endpoint

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"syscall"
)

// ParseBaseURL reads the setting BaseURL of a client: http or https, with a host, without user, query or fragment.
func ParseBaseURL(raw string) (*url.URL, error) {
	base, err := url.Parse(raw)
	switch {
	case raw == "":
		return nil, errors.New("BaseURL: must not be empty")
	case err != nil: // its text would quote the URL, which may contain a password
		return nil, errors.New("BaseURL: not a URL")
	case base.Scheme != "https" && base.Scheme != "http":
		return nil, errors.New("BaseURL: must begin with https:// or http://")
	case base.Hostname() == "":
		return nil, errors.New("BaseURL: names no host")
	case base.User != nil:
		return nil, errors.New("BaseURL: must not carry a user or password")
	case base.RawQuery != "" || base.ForceQuery || base.Fragment != "":
		return nil, errors.New("BaseURL: must not carry a query or fragment")
	}
	return base, nil
}

// CheckCredential checks a credential that is sent in a header. field is its setting, such as Token.
func CheckCredential(field, credential string) error {
	if credential == "" {
		return errors.New(field + ": must not be empty")
	}
	for i := range len(credential) {
		if credential[i] <= ' ' || credential[i] > '~' {
			return errors.New(field + ": holds a character that cannot stand in a header")
		}
	}
	return nil
}

// NoAnswer says why a request to the side of this name got no answer. It leaves out the transport's own text, which quotes URLs and, for a
// malformed answer, the answer's bytes; our own words say what an operator needs.
func NoAnswer(name string, err error) string {
	var (
		lookup *net.DNSError
		op     *net.OpError
		cert   *tls.CertificateVerificationError
	)
	switch {
	case errors.As(err, &lookup):
		return "the host name of " + name + " was not resolved"
	case errors.As(err, &cert):
		return "the certificate of " + name + " was not accepted"
	case errors.Is(err, syscall.ECONNREFUSED):
		return name + " refused the connection"
	case errors.As(err, &op) && op.Op == "dial":
		return name + " could not be connected to"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET):
		return name + " closed the connection before it answered"
	}
	return name + " gave no answer"
}
