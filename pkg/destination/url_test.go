package destination_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
)

func TestValidURLs(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"https://crm.example.org",
		"https://crm.example.org/",
		"HTTPS://CRM.example.org/api/v2",
		"http://crm.example.org:8080/api%2Fv2",
		"https://crm.example.org./api",
		"https://9.9.9.9/crm",
		"https://[2606:4700::1111]:8443/crm",
		"https://xn--bcher-kva.example/crm",
		"https://localhost.example.org/crm",
		"https://172.32.0.1", "https://100.128.0.1", "https://11.0.0.1",
	} {
		require.NoError(t, destination.CheckURL(raw, destination.PrivateAccess{}), raw)
	}
}

func TestInvalidURLs(t *testing.T) {
	t.Parallel()
	for raw, why := range map[string]string{
		"":                                  "must begin with https://",
		"crm.example.org/api":               "must begin with https://",
		"//crm.example.org/api":             "must begin with https://",
		"ftp://crm.example.org":             "must begin with https://",
		"file:///etc/passwd":                "must begin with https://",
		"postgres://crm.example.org/users":  "must begin with https://",
		"https:crm.example.org":             "names no host",
		"https:///api":                      "names no host",
		"https://:8080/api":                 "names no host",
		"https://bob:s3cret@crm.example/":   "put the credential in destination.token",
		"https://s3cret@crm.example/":       "put the credential in destination.token",
		"https://crm.example/?key=s3cret":   "has a query",
		"https://crm.example/?":             "has a query",
		"https://crm.example/#s3cret":       "has a fragment",
		"https://crm.example/#":             "has a fragment",
		"https://crm.example:0/":            "port outside",
		"https://crm.example:65536/":        "port outside",
		"https://crm.example:s3cret/":       "is not a URL",
		"https://crm example/":              "is not a URL",
		"https://crm.example/\n":            "is not a URL",
		"https://bücher.example/":           "ASCII form",
		"https://１２７.0.0.1/":                "ASCII form",
		"https://127.1/":                    "four decimal numbers",
		"https://2130706433/":               "four decimal numbers",
		"https://0x7f000001/":               "four decimal numbers",
		"https://0x7f.0.0.0x1/":             "four decimal numbers",
		"https://0177.0.0.1/":               "four decimal numbers",
		"https://1.2.3.4.5/":                "four decimal numbers",
		"https://crm.example../":            "four decimal numbers",
		"https://a/" + long("s3cret", 2048): "longer than 2048",
	} {
		err := destination.CheckURL(raw, destination.PrivateAccess{All: true})
		require.ErrorContains(t, err, why, raw)
		require.NotContains(t, err.Error(), "s3cret")
		require.Equal(t, fault.KindPermanent, fault.KindOf(err))
		require.Equal(t, "destination_url_invalid", fault.CodeOf(err))
	}
}

func TestPrivateAddressesNeedPermission(t *testing.T) {
	t.Parallel()
	for _, host := range []string{
		"localhost", "LocalHost", "localhost.", "crm.localhost",
		"127.0.0.1", "127.255.0.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
		"169.254.169.254", "0.0.0.0", "0.1.2.3", "100.64.0.1", "100.127.255.255", "224.0.0.1",
		"239.1.2.3", "255.255.255.255", "240.0.0.1", "192.0.0.8", "198.19.0.1", "127.0.0.1.",
		"192.0.2.1", "198.51.100.7", "203.0.113.9", "192.88.99.1", "[2001:db8::1]", "[2001::1]", "[3fff::1]", "[100::1]",
		"[2606:4700::1111%25eth0]", "[64:ff9b:1::1]", "[5f00::1]",
		"[::1]", "[::]", "[fe80::1]", "[fe80::1%25eth0]", "[fd00::1]", "[ff02::1]", "[fec0::1]",
		"[::ffff:127.0.0.1]", "[::ffff:10.0.0.1]", "[::ffff:8.8.8.8]", "[::127.0.0.1]",
		"[64:ff9b::7f00:1]", "[2002:7f00:1::1]",
	} {
		raw := "http://" + host + ":8080/crm"
		err := destination.CheckURL(raw, destination.PrivateAccess{})
		require.ErrorContains(t, err, "ALLOW_PRIVATE_DESTINATIONS", raw)
		require.Equal(t, "destination_url_private", fault.CodeOf(err))
		require.NoError(t, destination.CheckURL(raw, destination.PrivateAccess{All: true}), raw)
	}
}

func long(s string, n int) string { return strings.Repeat(s, n/len(s)+1) }
