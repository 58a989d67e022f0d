package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
)

// mailerOf is the mailer of the settings, which trusts the office.
func mailerOf(t *testing.T, h *house) *mailer {
	t.Helper()
	told, err := open(h.settings)
	require.NoError(t, err)
	told.mailer.roots = h.roots
	return told.mailer
}

var shortLetter = letter{id: "1", subject: "s", text: "t", html: "h"}

func TestWaysToLogInAreTriedOneAfterTheOther(t *testing.T) { // testdata/log-in.md, 1
	t.Parallel()
	for _, works := range []string{"PLAIN", "LOGIN"} {
		h, office := mailed(t)
		office.ways, office.works = []string{"CRAM-MD5", "PLAIN", "LOGIN"}, []string{works}
		by := mailerOf(t, h)
		require.NoError(t, by.send(t.Context(), "ops@partner.example", shortLetter), works)
		require.True(t, office.next().secure)
		tried := office.triedWays()
		require.Equal(t, "CRAM-MD5", tried[0])
		require.Equal(t, works, tried[len(tried)-1])
		require.NoError(t, by.send(t.Context(), "ops@partner.example", shortLetter))
		office.next()
		require.Equal(t, []string{works}, office.triedWays(), "the way that works comes first from now on")
		office.nothingMore()
	}
}

func TestTheErrorNamesTheWaysThatWereRefused(t *testing.T) {
	t.Parallel()
	h, office := mailed(t)
	office.ways = []string{"CRAM-MD5", "PLAIN", "LOGIN"}
	err := mailerOf(t, h).send(t.Context(), "ops@partner.example", shortLetter)
	require.EqualError(t, err, "the mail server answered 535; refused ways to log in: CRAM-MD5, PLAIN, LOGIN")
	require.Equal(t, "smtp_535", fault.CodeOf(err))
	require.NotContains(t, err.Error(), mailPassword)
	require.Equal(t, []string{"CRAM-MD5", "PLAIN", "LOGIN"}, office.triedWays())

	office.ways = []string{"XOAUTH2", "GSSAPI"}
	err = mailerOf(t, h).send(t.Context(), "ops@partner.example", shortLetter)
	require.ErrorIs(t, err, errNoLogin)
	require.Empty(t, office.triedWays())
}

func TestAnAddressOutsideASCIINeedsAServerThatTakesIt(t *testing.T) { // testdata/log-in.md, 2
	t.Parallel()
	h, office := mailed(t, "ALERT_MAIL_TO=nóc@acme.example")
	by := mailerOf(t, h)
	err := by.send(t.Context(), "nóc@acme.example", shortLetter)
	require.ErrorIs(t, err, errNeedsUTF8)
	require.Equal(t, fault.KindPermanent, fault.KindOf(err))
	require.Equal(t, "smtp_no_utf8", fault.CodeOf(err))
	require.NotContains(t, err.Error(), "acme")

	require.NoError(t, by.send(t.Context(), "ops@bücher.example", shortLetter), "a domain has a form in ASCII")
	require.Equal(t, "ops@xn--bcher-kva.example", office.next().to)

	h.start()
	h.raise("acme", event.AlertBackfillFailed)
	require.Eventually(t, func() bool { return h.outcome("alert-1", channelOperators) == "failed smtp_no_utf8" }, within, 20*time.Millisecond)

	office.close()
	office.utf8 = true
	office.open()
	require.NoError(t, by.send(t.Context(), "nóc@bücher.example", shortLetter))
	require.Equal(t, "nóc@xn--bcher-kva.example", office.next().to)
	office.nothingMore()
}
