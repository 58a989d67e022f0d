package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
)

// newMailer returns the mailer of the settings. It trusts the mail server's certificate.
func newMailer(t *testing.T, f *fixture) *mailer {
	t.Helper()
	n, err := newNotifier(f.settings)
	require.NoError(t, err)
	n.mailer.roots = f.roots
	return n.mailer
}

var shortMail = mailContent{id: "1", subject: "s", text: "t", html: "h"}

func TestLoginMechanismsAreTriedInOrder(t *testing.T) { // testdata/log-in.md, 1
	t.Parallel()
	for _, works := range []string{"PLAIN", "LOGIN"} {
		f, server := newMailFixture(t)
		server.mechanisms, server.working = []string{"CRAM-MD5", "PLAIN", "LOGIN"}, []string{works}
		by := newMailer(t, f)
		require.NoError(t, by.send(t.Context(), "ops@partner.example", shortMail), works)
		require.True(t, server.next().secure)
		tried := server.takeAttempted()
		require.Equal(t, "CRAM-MD5", tried[0])
		require.Equal(t, works, tried[len(tried)-1])
		require.NoError(t, by.send(t.Context(), "ops@partner.example", shortMail))
		server.next()
		require.Equal(t, []string{works}, server.takeAttempted(), "the accepted mechanism is tried first from now on")
		server.requireNoMore()
	}
}

func TestLoginErrorNamesRejectedMechanisms(t *testing.T) {
	t.Parallel()
	f, server := newMailFixture(t)
	server.mechanisms = []string{"CRAM-MD5", "PLAIN", "LOGIN"}
	err := newMailer(t, f).send(t.Context(), "ops@partner.example", shortMail)
	require.EqualError(t, err, "the mail server answered 535; rejected login mechanisms: CRAM-MD5, PLAIN, LOGIN")
	require.Equal(t, "smtp_535", fault.CodeOf(err))
	require.NotContains(t, err.Error(), mailPassword)
	require.Equal(t, []string{"CRAM-MD5", "PLAIN", "LOGIN"}, server.takeAttempted())

	server.mechanisms = []string{"XOAUTH2", "GSSAPI"}
	err = newMailer(t, f).send(t.Context(), "ops@partner.example", shortMail)
	require.ErrorIs(t, err, errNoMechanism)
	require.Empty(t, server.takeAttempted())
}

func TestNonASCIIAddressNeedsServerWithSMTPUTF8(t *testing.T) { // testdata/log-in.md, 2
	t.Parallel()
	f, server := newMailFixture(t, "ALERT_MAIL_TO=nóc@acme.example")
	by := newMailer(t, f)
	err := by.send(t.Context(), "nóc@acme.example", shortMail)
	require.ErrorIs(t, err, errNeedsUTF8)
	require.Equal(t, fault.KindPermanent, fault.KindOf(err))
	require.Equal(t, "smtp_no_utf8", fault.CodeOf(err))
	require.NotContains(t, err.Error(), "acme")

	require.NoError(t, by.send(t.Context(), "ops@bücher.example", shortMail), "a domain has an ASCII form")
	require.Equal(t, "ops@xn--bcher-kva.example", server.next().to)

	f.start()
	f.raise("acme", event.AlertBackfillFailed)
	require.Eventually(t, func() bool { return f.notificationOutcome("alert-1", channelOperators) == "failed smtp_no_utf8" }, timeout, 20*time.Millisecond)

	server.close()
	server.utf8 = true
	server.open()
	require.NoError(t, by.send(t.Context(), "nóc@bücher.example", shortMail))
	require.Equal(t, "nóc@xn--bcher-kva.example", server.next().to)
	server.requireNoMore()
}
