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

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

func TestLengthsAreSaidAsPeopleSayThem(t *testing.T) {
	t.Parallel()
	for length, said := range map[time.Duration]string{
		-time.Second: "0 seconds", time.Second: "1 second", 89 * time.Second: "89 seconds", 90 * time.Second: "2 minutes",
		89 * time.Minute: "89 minutes", 125 * time.Minute: "2 hours 5 minutes", 61*time.Hour + 10*time.Minute: "2 days 13 hours",
		1200 * 24 * time.Hour: "1,200 days 0 hours",
	} {
		require.Equal(t, said, lasting(length))
	}
}

func TestWhatAStrangerWroteIntoAnAlertIsTextAndNothingElse(t *testing.T) {
	t.Parallel()
	words, err := readMails()
	require.NoError(t, err)
	alert := &rollcallv1.Alert{
		CustomerId: "acme", Type: "by_hand", Severity: "low\r\nBcc: all@example.org", Text: "<script>alert(1)</script>\r\n& more", At: timestamppb.New(noon),
	}
	mail, err := words.alert(alert)
	require.NoError(t, err)
	require.NotContains(t, mail.html, "<script>")
	require.NotContains(t, mail.text, "What to do", "there is no remedy")
	message, err := (&mailer{from: "rollcall@partner.example"}).compose("ops@partner.example", mail)
	require.NoError(t, err)
	var whole strings.Builder
	_, err = message.WriteTo(&whole)
	require.NoError(t, err)
	require.NotContains(t, whole.String(), "\nBcc:")
	require.NotContains(t, slackText(alert), "\n")
	require.Contains(t, slackText(alert), "&lt;script&gt;")
}

func TestAMailNamesAnAlertAsEverythingElseDoes(t *testing.T) {
	t.Parallel()
	words, err := readMails()
	require.NoError(t, err)
	for _, cleared := range []bool{false, true} {
		alert := &rollcallv1.Alert{
			CustomerId: "acme", Type: event.AlertAuthFailed, Severity: "high", Text: "VOMO refuses the token.", At: timestamppb.New(noon), Cleared: cleared,
		}
		mail, err := words.alert(alert)
		require.NoError(t, err)
		for _, part := range []string{mail.subject, mail.text, mail.html, slackText(alert)} {
			require.Contains(t, part, "auth_failed")
			require.NotContains(t, part, "auth failed")
		}
	}
}

func TestAnyIDMakesAMessageID(t *testing.T) {
	t.Parallel()
	from := &mailer{from: "Rollcall <rollcall@partner.example>"}
	require.Equal(t, "rollcall.alert-7@partner.example", from.messageID("alert-7"))
	odd := from.messageID("a <b> c\n")
	require.Regexp(t, `^rollcall\.[0-9a-f]{32}@partner\.example$`, odd)
	require.Equal(t, odd, from.messageID("a <b> c\n"))
}

func TestEveryConditionOfTimeHasWordsOfItsOwnForItsEnd(t *testing.T) {
	t.Parallel()
	said := map[string]bool{}
	for _, kind := range store.TimedConditions() {
		text, remedy := event.Explain(kind)
		require.NotContains(t, text, kind)
		require.NotEmpty(t, remedy)
		said[over(kind, true)] = true
	}
	require.Len(t, said, len(store.TimedConditions()))
	require.NotContains(t, said, over("", true))
}

func TestAGateClosesForLongerEachTimeAndOpensWithTheFirstThatPasses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var g gate
		down := downError{errors.New("down")}
		attempts := 0
		try := func(outcome error) error {
			return g.through(func() error { attempts++; return outcome })
		}
		var closed *closedError
		for range 12 {
			require.ErrorIs(t, try(down), down)
			require.ErrorAs(t, try(nil), &closed, "nobody tries meanwhile")
			require.LessOrEqual(t, closed.opens, longestClosed)
			<-time.After(longestClosed)
		}
		require.Equal(t, 12, attempts)
		require.NoError(t, try(nil))
		require.NoError(t, try(nil))

		require.Error(t, try(downError{fault.Throttled("webhook_429", 3*time.Minute, errors.New("later"))}))
		<-time.After(3*time.Minute - time.Second)
		require.ErrorAs(t, try(nil), &closed, "the time that was asked for is given")
		<-time.After(time.Second)
		require.NoError(t, try(nil))
		require.Error(t, try(errors.New("this message alone")))
		require.NoError(t, try(nil))
	})
}

func TestARetryAfterOfTheReceiverIsBelievedUpToMinutes(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]time.Duration{"30": 30 * time.Second, "2.5": 2500 * time.Millisecond, "999999": longestNamed, "-5": 0} {
		err := answered(&http.Response{StatusCode: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {value}}})
		after, _ := fault.After(err)
		require.Equal(t, want, after, value)
	}
}

func TestAMessageComesAgainWithinTwoMinutesHoweverLongItHasWaited(t *testing.T) {
	t.Parallel()
	require.NoError(t, again([]error{nil, nil}, 3))
	require.Error(t, again([]error{nil, errors.New("down")}, 1))
}
