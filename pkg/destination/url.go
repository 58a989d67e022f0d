package destination

import (
	"errors"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"rollcall.dev/pkg/fault"
)

const maxURL = 2048

// CheckURL reports whether raw may be a destination's base URL: absolute, http or https, with a host, without user,
// query or fragment, at most 2048 characters. Unless private allows the destination, it rejects literal addresses
// that are not public, and localhost. It does not resolve names: a name may resolve to another address a moment
// later, so only the dialer can reject it (see NewDialer).
//
// The error is a permanent fault, destination_url_invalid or destination_url_private. Its text says what is wrong and
// what to do, and never quotes the URL, which may contain a credential.
func CheckURL(raw string, private PrivateAccess) error {
	u, err := parseURL(raw)
	if err != nil {
		return fault.Permanent("destination_url_invalid", err)
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	addr, literal, err := parseHost(host)
	if err != nil {
		return fault.Permanent("destination_url_invalid", err)
	}
	if private.allows(host, portOf(u)) {
		return nil
	}
	if host == "localhost" || strings.HasSuffix(host, ".localhost") || literal && !public(addr) {
		return fault.Permanent("destination_url_private", errors.New("the destination's URL points to a private, "+
			"local or reserved address: use a public one or, if this is meant, add its host:port to ALLOW_PRIVATE_HOSTS "+
			"(ALLOW_PRIVATE_DESTINATIONS=true allows every address)"))
	}
	return nil
}

// portOf returns the port of u, or the default port of its scheme.
func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	}
	return "80"
}

// parseURL checks everything but the host. It drops url.Parse's error, whose text quotes the whole URL.
func parseURL(raw string) (*url.URL, error) {
	if len(raw) > maxURL {
		return nil, errors.New("the destination's URL is longer than 2048 characters: shorten it")
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New("the destination's URL is not a URL: write it as https://host/path")
	}
	if u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("the destination's URL must begin with https:// or http://")
	}
	if u.User != nil {
		return nil, errors.New("the destination's URL holds a user or password: put the credential in destination.token")
	}
	if u.Hostname() == "" {
		return nil, errors.New("the destination's URL names no host: write it as https://host/path")
	}
	if u.RawQuery != "" || u.ForceQuery {
		return nil, errors.New("the destination's URL has a query: leave out the ? and what follows " +
			"(a credential belongs in destination.token)")
	}
	if strings.Contains(raw, "#") {
		return nil, errors.New("the destination's URL has a fragment: leave out the # and what follows")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.ParseUint(p, 10, 16); err != nil || n == 0 {
			return nil, errors.New("the destination's URL has a port outside 1 to 65535: correct it or leave it out")
		}
	}
	return u, nil
}

// parseHost distinguishes a literal address from a name. It rejects spellings that some resolvers read as an address
// and this package would not: short, octal, hexadecimal or plain numbers ("127.1", "0x7f000001"), and letters outside
// ASCII, which HTTP clients fold ("１２７.0.0.1").
func parseHost(host string) (netip.Addr, bool, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr, true, nil
	}
	for _, c := range []byte(host) {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return netip.Addr{}, false, errors.New("the destination's host has a character that no host name has: " +
				"write an international name in its ASCII form (xn--…)")
		}
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == "" || strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return netip.Addr{}, false, errors.New("the destination's host is neither a name nor an address: " +
			"write an IPv4 address as four decimal numbers")
	}
	return netip.Addr{}, false, nil
}
