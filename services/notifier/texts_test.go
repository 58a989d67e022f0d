package main

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

var atNoon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestDurationsAreWrittenAsPeopleWriteThem(t *testing.T) {
	t.Parallel()
	for length, said := range map[time.Duration]string{
		-time.Second: "0 seconds", time.Second: "1 second", 89 * time.Second: "89 seconds", 90 * time.Second: "2 minutes",
		89 * time.Minute: "89 minutes", 125 * time.Minute: "2 hours 5 minutes", 61*time.Hour + 10*time.Minute: "2 days 13 hours",
		1200 * 24 * time.Hour: "1,200 days 0 hours",
	} {
		require.Equal(t, said, formatDuration(length))
	}
}

func TestTextOfStrangerAddsNoHeaderAndNoHTML(t *testing.T) {
	t.Parallel()
	view, err := parseMailTemplates()
	require.NoError(t, err)
	alert := &rollcallv1.Alert{
		CustomerId: "acme", Type: "by_hand", Severity: "low\r\nBcc: all@example.org", Text: "<script>alert(1)</script>\r\n& more", At: timestamppb.New(atNoon),
	}
	mail, err := view.alertMail(alert)
	require.NoError(t, err)
	require.NotContains(t, mail.html, "<script>")
	require.NotContains(t, mail.text, "What to do", "the alert has no remedy")
	message, err := (&mailer{from: "rollcall@partner.example"}).compose("ops@partner.example", mail)
	require.NoError(t, err)
	var whole strings.Builder
	_, err = message.WriteTo(&whole)
	require.NoError(t, err)
	require.NotContains(t, whole.String(), "\nBcc:")
	require.NotContains(t, slackText(alert), "\n")
	require.Contains(t, slackText(alert), "&lt;script&gt;")
}

func TestMailShowsAlertTypeUnchanged(t *testing.T) {
	t.Parallel()
	view, err := parseMailTemplates()
	require.NoError(t, err)
	for _, cleared := range []bool{false, true} {
		alert := &rollcallv1.Alert{
			CustomerId: "acme", Type: event.AlertAuthFailed, Severity: "high", Text: "VOMO refuses the token.", At: timestamppb.New(atNoon), Cleared: cleared,
		}
		mail, err := view.alertMail(alert)
		require.NoError(t, err)
		for _, part := range []string{mail.subject, mail.text, mail.html, slackText(alert)} {
			require.Contains(t, part, "auth_failed")
			require.NotContains(t, part, "auth failed")
		}
	}
}

func TestMessageIDIsValidForAnyID(t *testing.T) {
	t.Parallel()
	from := &mailer{from: "Rollcall <rollcall@partner.example>"}
	require.Equal(t, "rollcall.alert-7@partner.example", from.messageID("alert-7"))
	odd := from.messageID("a <b> c\n")
	require.Regexp(t, `^rollcall\.[0-9a-f]{32}@partner\.example$`, odd)
	require.Equal(t, odd, from.messageID("a <b> c\n"))
}

func TestEveryConditionHasItsOwnClearedText(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	for _, kind := range store.TimedConditions() {
		text, remedy := event.Explain(kind)
		require.NotContains(t, text, kind)
		require.NotEmpty(t, remedy)
		said[clearedText(kind, true)] = true
	}
	require.Len(t, said, len(store.TimedConditions()))
	require.NotContains(t, said, clearedText("", true))
}

func TestGateClosesLongerAfterEachFailureAndOpensAfterSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g gate
		down := channelDownError{errors.New("down")}
		attempts := 0
		try := func(outcome error) error {
			return g.run(func() error { attempts++; return outcome })
		}
		var closed *channelClosedError
		for range 12 {
			require.ErrorIs(t, try(down), down)
			require.ErrorAs(t, try(nil), &closed, "the gate is closed")
			require.LessOrEqual(t, closed.opensAfter, longestPause)
			<-time.After(longestPause)
		}
		require.Equal(t, 12, attempts)
		require.NoError(t, try(nil))
		require.NoError(t, try(nil))

		require.Error(t, try(channelDownError{fault.Throttled("webhook_429", 3*time.Minute, errors.New("later"))}))
		<-time.After(3*time.Minute - time.Second)
		require.ErrorAs(t, try(nil), &closed, "Retry-After is honoured")
		<-time.After(time.Second)
		require.NoError(t, try(nil))
		require.Error(t, try(errors.New("this message alone")))
		require.NoError(t, try(nil))
	})
}

func TestRetryAfterIsLimitedToTenMinutes(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{"30": 30 * time.Second, "2.5": 2500 * time.Millisecond, "999999": maxRetryAfter, "-5": 0} {
		err := classifyStatus(&http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {value}}})
		after, _ := fault.After(err)
		require.Equal(t, want, after, value)
	}
}

func TestFailedNoticeAsksForRedelivery(t *testing.T) {
	t.Parallel()
	require.NoError(t, retryError([]error{nil, nil}, 3))
	require.Error(t, retryError([]error{nil, errors.New("down")}, 1))
}
