package main

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/virtuous"
)

// virtuousClient returns the client that rollcall uses, for acme.
func (s *fixture) virtuousClient(t *testing.T, change func(*virtuous.Config)) *virtuous.Client {
	t.Helper()
	zone, err := time.LoadLocation("US/Arizona")
	require.NoError(t, err)
	config := virtuous.Config{
		BaseURL: s.url + "/virtuous", Key: virtuousKey, Zone: zone, Transport: &http.Transport{DisableKeepAlives: true}, Attempts: 1, Now: s.clock.Now,
	}
	if change != nil {
		change(&config)
	}
	client, err := virtuous.New(config)
	require.NoError(t, err)
	return client
}

func TestClientSubmitsLooksUpAndReadsWhatTheSandboxHas(t *testing.T) {
	t.Parallel()
	var last virtuous.Answer
	s := newGivingFixture(t, "")
	client := s.virtuousClient(t, func(c *virtuous.Config) {
		c.Answered = func(_ context.Context, answer virtuous.Answer) { last = answer }
	})
	ctx := t.Context()
	organization, err := client.Organization(ctx)
	require.NoError(t, err)
	require.Equal(t, "US/Arizona", organization.TimeZone)
	require.Equal(t, int64(4001), organization.ID)
	require.Equal(t, int64(5000), last.Quota.Limit)
	require.Equal(t, int64(4999), last.Quota.Remaining)
	require.InDelta(t, time.Hour, last.Quota.ResetAfter, float64(2*time.Second))
	projects, err := client.Projects(ctx)
	require.NoError(t, err)
	require.Len(t, projects, 4)
	require.False(t, projects[3].IsActive)

	require.Equal(t, virtuous.Accepted, client.SubmitGift(ctx, []byte(anaGives)).Verdict)
	require.Equal(t, virtuous.Repeated, client.SubmitGift(ctx, []byte(anaGives)).Verdict)
	s.giving(http.MethodPut, "/settings", `{"repeatShape":"text"}`, http.StatusOK)
	require.Equal(t, virtuous.Repeated, client.SubmitGift(ctx, []byte(anaGives)).Verdict)
	refused := client.SubmitGift(ctx, []byte(strings.Replace(gives("don-2", "9.00", "bo"), "Cash", "Barter", 1)))
	require.Equal(t, virtuous.Refused, refused.Verdict)
	require.Contains(t, refused.LastError(), "transaction.giftType")
	_, err = client.GiftByTransaction(ctx, "AcmeGive", "don-1")
	require.ErrorIs(t, err, virtuous.ErrNotFound)
	s.giving(http.MethodPut, "/settings", `{"heldLookup":"transaction"}`, http.StatusOK)
	_, err = client.GiftByTransaction(ctx, "AcmeGive", "don-1")
	require.ErrorIs(t, err, virtuous.ErrUnknownAnswer)

	s.advance(24 * time.Hour)
	gift, err := client.GiftByTransaction(ctx, "acmegive", "don-1")
	require.NoError(t, err)
	require.True(t, gift.IsComplete(), gift.Missing)
	require.True(t, gift.IsOf("AcmeGive", "don-1"))
	require.Equal(t, "125", gift.Amount.String())
	require.Equal(t, "2026-11-20", gift.Date.String())
	contact, err := client.Contact(ctx, gift.ContactID)
	require.NoError(t, err)
	require.True(t, contact.IsComplete(), contact.Missing)
	require.Equal(t, "ana.ruiz@example.org", contact.Email())
	require.Equal(t, []virtuous.ContactReference{{Source: "AcmeGive", ID: "donor-310"}}, contact.References)
}

func TestClientJudgesEachFaultOfASubmission(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	client := s.virtuousClient(t, nil)
	for i, one := range []struct {
		fault   string
		verdict virtuous.Verdict
		may     bool
	}{
		{`"kind":"status","status":429`, virtuous.Throttled, false},
		{`"kind":"status","status":401`, virtuous.Unauthorized, false},
		{`"kind":"status","status":403`, virtuous.Forbidden, false},
		{`"kind":"status","status":520`, virtuous.Unclear, true},
		{`"kind":"status","status":500,"shape":"empty"`, virtuous.Unclear, true},
		{`"kind":"lost_answer"`, virtuous.Unclear, true},
		{`"kind":"drop"`, virtuous.Unclear, true},
		{`"kind":"page"`, virtuous.Unclear, true},
		{`"kind":"status","status":422`, virtuous.Refused, false},
	} {
		s.givingFault(one.fault + `,"operation":"transaction","count":1`)
		outcome := client.SubmitGift(t.Context(), []byte(gives(fmt.Sprintf("don-%d", i), "5.00", "bo")))
		require.Equal(t, one.verdict, outcome.Verdict, one.fault)
		require.Equal(t, one.may, outcome.MayBeAccepted, one.fault)
	}
	require.Len(t, s.transactions(), 1, "the one whose answer was lost")
}

func TestClientQueriesByEachParameterAndOperatorOfTheSandbox(t *testing.T) {
	t.Parallel()
	for _, settings := range []string{`{}`, `{"utcParameters":false}`, `{"operators":"guide"}`, `{"operators":"guide","utcParameters":false}`} {
		s := newGivingFixture(t, settings)
		s.giving(http.MethodPost, "/gifts", `{"count":230}`, http.StatusCreated)
		s.giving(http.MethodPut, "/contacts/5125", `{"isArchived":true}`, http.StatusOK)
		client := s.virtuousClient(t, nil)
		gifts, contacts := map[int64]bool{}, map[int64]bool{}
		for page, err := range client.GiftsModifiedSince(t.Context(), s.clock.Now().Add(-time.Hour), 0) {
			require.NoError(t, err, settings)
			for _, gift := range page.Records {
				gifts[gift.ID] = true
			}
		}
		for page, err := range client.ContactsModifiedSince(t.Context(), s.clock.Now().Add(-time.Hour), 0) {
			require.NoError(t, err, settings)
			for _, contact := range page.Records {
				contacts[contact.ID] = true
			}
		}
		require.Len(t, gifts, 230, settings)
		require.Len(t, contacts, 230, settings)
		for page, err := range client.GiftsModifiedSince(t.Context(), s.clock.Now().Add(48*time.Hour), 0) {
			require.NoError(t, err, settings)
			require.Empty(t, page.Records, settings)
		}
	}
}

func TestClientNoticesAPageThatRepeatsAndShrinksASlowOne(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{"slowTake":20}`)
	s.giving(http.MethodPost, "/gifts", `{"count":60}`, http.StatusCreated)
	client := s.virtuousClient(t, func(c *virtuous.Config) { c.Attempts, c.Sleep = 3, s.clock.Wait })
	count := 0
	for page, err := range client.GiftsModifiedSince(t.Context(), s.clock.Now().Add(-time.Hour), 0) {
		require.NoError(t, err)
		count += len(page.Records)
	}
	require.Equal(t, 60, count)
	s.givingFault(`"kind":"same_page"`)
	var failed error
	for _, err := range client.GiftsModifiedSince(t.Context(), s.clock.Now().Add(-time.Hour), 0) {
		failed = err
	}
	require.ErrorIs(t, failed, virtuous.ErrPageRepeats)
}

// TestRecordIsTheSameInEachEnvelopeAndEndpoint compares the canonical fields and the times of one version of a gift and of a
// contact, wherever the sandbox shows it.
func TestRecordIsTheSameInEachEnvelopeAndEndpoint(t *testing.T) {
	t.Parallel()
	for _, envelope := range []string{"bulk", "single", "guide", "camel"} {
		s := newGivingFixture(t, fmt.Sprintf(`{"webhooks":{"envelope":%q,"encoding":"mixed"}}`, envelope))
		r := newReceiver(t, s)
		s.submit(strings.Replace(anaGives, `"giftDate"`, `"passthroughContact":{"name":"Example Fund"},"customFields":{"UTM":"x"},"giftDate"`, 1))
		s.advance(24 * time.Hour)
		s.giving(http.MethodPut, "/gifts/88101", `{"notes":"changed"}`, http.StatusOK)
		s.giving(http.MethodPut, "/contacts/5120", `{"tags":["Board"]}`, http.StatusOK)
		s.deliver()

		client := s.virtuousClient(t, nil)
		gift, err := client.Gift(t.Context(), 88101)
		require.NoError(t, err)
		contact, err := client.Contact(t.Context(), 5120)
		require.NoError(t, err)
		for page, err := range client.GiftsModifiedSince(t.Context(), s.clock.Now().Add(-time.Hour), 0) {
			require.NoError(t, err)
			require.Equal(t, gift.Fields(), page.Records[0].Fields())
			require.True(t, virtuous.SameTime(gift.ModifiedAt, page.Records[0].ModifiedAt))
		}
		updates := 0
		for _, one := range r.all {
			require.True(t, virtuous.VerifySignature(one.signature, one.body, []byte(webhookSecret)))
			delivery, err := virtuous.ParseDelivery(one.body)
			require.NoError(t, err)
			for _, record := range delivery.Records() {
				require.Empty(t, record.Problem)
				switch record.Event {
				case virtuous.GiftUpdate:
					updates++
					require.Equal(t, gift.Fields(), record.Gift.Fields(), envelope)
					require.True(t, virtuous.SameTime(gift.ModifiedAt, record.Gift.ModifiedAt))
				case virtuous.ContactUpdate:
					updates++
					require.Equal(t, contact.Fields(), record.Contact.Fields(), envelope)
					require.True(t, virtuous.SameTime(contact.ModifiedAt, record.Contact.ModifiedAt))
				default:
					require.Contains(t, []virtuous.Event{virtuous.GiftCreate, virtuous.ContactCreate}, record.Event)
				}
			}
		}
		require.Equal(t, 2, updates)
	}
}

func TestClientReadsOddRecordsAndDeletions(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{"webhooks":{"odd":1,"envelope":"bulk"}}`)
	r := newReceiver(t, s)
	s.giving(http.MethodPost, "/contacts", "", http.StatusCreated)
	s.giving(http.MethodPost, "/gifts", `{"count":60,"contactId":5120}`, http.StatusCreated)
	for id := 88101; id < 88121; id++ {
		s.giving(http.MethodDelete, fmt.Sprintf("/gifts/%d", id), "", http.StatusNoContent)
	}
	s.deliver()
	seen, deleted := map[string]int{}, map[int64]bool{}
	for _, one := range r.all {
		delivery, err := virtuous.ParseDelivery(one.body)
		require.NoError(t, err)
		for _, record := range delivery.Records() {
			switch {
			case record.Problem != "":
				seen["no record"]++
			case record.Event == virtuous.GiftDelete:
				require.Nil(t, record.Gift)
				deleted[record.ID] = true
			case record.Gift != nil && !record.Gift.IsComplete():
				require.Equal(t, []string{"modifiedDateTimeUtc"}, record.Gift.Missing)
				seen["untimed"]++
			case record.Gift != nil:
				require.Equal(t, 1, record.Gift.Amount.Sign())
				seen["complete"]++
			}
		}
	}
	require.Len(t, deleted, 20)
	require.False(t, deleted[0])
	require.Positive(t, seen["no record"])
	require.Positive(t, seen["untimed"])
	require.Greater(t, seen["complete"], 30)
}

func TestClientManagesASubscription(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	client := s.virtuousClient(t, nil)
	made, err := client.CreateSubscription(t.Context(), virtuous.Subscription{
		PayloadURL: "https://hooks.example.org/x", Secret: webhookSecret, IsActive: true, Events: virtuous.GivingEvents(),
	})
	require.NoError(t, err)
	read, err := client.Subscription(t.Context(), made.ID)
	require.NoError(t, err)
	require.Equal(t, webhookSecret, read.Secret)
	for event, wanted := range virtuous.GivingEvents() {
		require.Equal(t, wanted, read.Events[event])
	}
	read.Secret = "another"
	require.NoError(t, client.UpdateSubscription(t.Context(), read))
	require.NoError(t, client.SetSubscriptionActive(t.Context(), made.ID, false))
	read, err = client.Subscription(t.Context(), made.ID)
	require.NoError(t, err)
	require.Equal(t, "another", read.Secret)
	require.False(t, read.IsActive)
	require.NoError(t, client.DeleteSubscription(t.Context(), made.ID))
	_, err = client.Subscription(t.Context(), made.ID)
	require.ErrorIs(t, err, virtuous.ErrNotFound)
}
