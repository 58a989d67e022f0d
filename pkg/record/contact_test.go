package record

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// sentContact returns a contact of the platform in a state, after a change. A confirmed one is contact 55 at Virtuous.
func sentContact(status string, change func(*Contact)) *Contact {
	contact := &Contact{
		Customer: customer(nil), ID: "donor-310", FoundAs: operatorapi.FoundAsReference, Source: "AcmeGive", PublishedAt: now.Add(-101 * time.Hour),
		Transaction: &store.ContactTransactionRow{
			ReferenceID: "donor-310", Status: status, TransactionSource: "AcmeGive", CreatedAt: now.Add(-100 * time.Hour), StatusAt: now.Add(-time.Hour),
			SubmittedAt: ago(49 * time.Hour), NextAttemptAt: ago(time.Minute),
		},
	}
	if status == store.DonationConfirmed {
		contact.Transaction.ContactID, contact.Transaction.ConfirmedAt = 55, ago(time.Hour)
		contact.Row = &store.ContactRow{ID: 55, State: store.PartnerLive, SyncState: "in_sync", CreatedAt: now}
		contact.Stored = &store.PartnerContact{ID: 55, WebhookAt: now.Add(-time.Hour)}
	}
	if change != nil {
		change(contact)
	}
	return contact
}

// contactCases has each cause of the platform's contacts with the facts that lead to it.
func contactCases() map[Cause]operatorapi.Trace {
	contact := func(status string, asked Lookup, change func(*Contact)) operatorapi.Trace {
		return sentContact(status, change).Trace(asked)
	}
	return map[Cause]operatorapi.Trace{
		ContactNotCaptured: contact("", notFound, func(c *Contact) { c.Transaction, c.FoundAs, c.Letters = nil, "", letterOf("contact") }),
		ContactVersionRejected: contact(store.DonationSubmitted, notFound, func(c *Contact) {
			c.Transaction.SubmittedAt, c.Letters = ago(time.Hour), letterOf("contact")
		}),
		ContactSubmittedWaits: contact(store.DonationSubmitted, notFound, func(c *Contact) {
			c.Transaction.SubmittedAt = ago(48*time.Hour - time.Second)
		}),
		ContactSubmittedUnasked:      contact(store.DonationSubmitted, unclear, nil),
		ContactSubmittedImportNotRun: contact(store.DonationSubmitted, notFound, nil),
		ContactSubmittedNeedsMatch:   contact(store.DonationSubmitted, notFound, func(c *Contact) { c.ImportWasRun = true }),
		ContactReviewImportNotRun:    contact(store.DonationNeedsReview, notFound, func(c *Contact) { c.Transaction.ReviewReason = "import_not_run" }),
		ContactReviewMatchNeeded:     contact(store.DonationNeedsReview, notFound, func(c *Contact) { c.Transaction.ReviewReason = "match_needed" }),
		ContactFailed:                contact(store.DonationFailed, notFound, func(c *Contact) { c.Transaction.LastError = "status 422: email" }),
		ContactUnreadable:            contact(store.DonationFailed, notFound, func(c *Contact) { c.Transaction.LastError = "unreadable" }),
		ContactClosed:                contact(store.DonationClosed, notFound, func(c *Contact) { c.Transaction.CloseReason = "discarded" }),
		ContactConfirmed:             contact(store.DonationConfirmed, found, nil),
		ContactCompareWaits:          contact(store.DonationConfirmed, found, func(c *Contact) { c.Transaction.CompareWantedAt = ago(time.Hour) }),
	}
}

// What keeps a contact from being sent is what keeps a donation from it, and its words and commands are about a contact.
func TestPendingContactHasTheCausesOfADonationAboutAContact(t *testing.T) {
	t.Parallel()
	heldBy := func(reason string) func(*Contact) {
		return func(c *Contact) { c.Customer.Hold = &store.GivingHold{Reason: reason, Until: now.Add(time.Minute)} }
	}
	off := func(reason string) func(*Contact) {
		return func(c *Contact) { c.Customer.Giving.Enabled, c.Customer.Giving.DisabledReason = false, reason }
	}
	for cause, change := range map[Cause]func(*Contact){
		PendingUnderWay:    func(c *Contact) { c.Transaction.IsAttempting = true },
		PendingPaused:      func(c *Contact) { c.Customer.PausedAt = ago(time.Hour) },
		PendingAuthFailed:  off("auth_failed"),
		PendingRemoved:     off("removed"),
		PendingForbidden:   heldBy("virtuous_forbidden"),
		PendingThrottled:   heldBy("virtuous_throttled"),
		PendingNoKey:       heldBy("virtuous_no_key"),
		PendingUnavailable: heldBy("virtuous_unavailable"),
		PendingHeld:        heldBy("keeper_away"),
		PendingRetried: func(c *Contact) {
			c.Transaction.LastError, c.Transaction.NextAttemptAt = "status 503", ago(-time.Minute)
		},
		PendingTurn:    nil,
		PendingNotSent: func(c *Contact) { c.Transaction.NextAttemptAt = ago(16 * time.Minute) },
	} {
		got := sentContact(store.DonationPending, change).Trace(unasked).Cause
		require.Equal(t, string(cause), got.Code)
		require.NotContains(t, got.Text+got.Next, "he donation", cause)
		require.NotContains(t, got.Text+got.Next, "{", cause)
		if got.Command != nil {
			require.NotContains(t, *got.Command, "donation", cause)
			require.NotContains(t, *got.Command, "gift", cause)
		}
	}
	removed := sentContact(store.DonationPending, off("removed")).Trace(unasked)
	require.Equal(t, "rollcall contact close acme donor-310 --reason <why>", *removed.Cause.Command)
}

// Whatever became of the transaction, a contact that Virtuous has is applied, and one that Virtuous does not have waits for 48 hours.
func TestContactThatVirtuousHasIsAppliedWhateverItsTransactionIs(t *testing.T) {
	t.Parallel()
	for _, status := range []string{
		store.DonationPending, store.DonationSubmitted, store.DonationNeedsReview, store.DonationFailed, store.DonationClosed,
	} {
		trace := sentContact(status, func(c *Contact) { c.Transaction.SubmittedAt = ago(time.Minute) }).Trace(found)
		require.Equal(t, string(MissedWebhook), trace.Cause.Code, status)
		require.Equal(t, "rollcall record acme contact donor-310 --fix", *trace.Cause.Command)
		require.EqualValues(t, 901, *trace.VirtuousRecordID)
	}
	for age, want := range map[time.Duration]Cause{
		0: ContactSubmittedWaits, 48*time.Hour - time.Nanosecond: ContactSubmittedWaits, 48 * time.Hour: ContactSubmittedImportNotRun,
	} {
		trace := sentContact(store.DonationSubmitted, func(c *Contact) { c.Transaction.SubmittedAt = ago(age) }).Trace(notFound)
		require.Equal(t, string(want), trace.Cause.Code, "%s", age)
	}
	waits := sentContact(store.DonationSubmitted, func(c *Contact) { c.WaitsSince = ago(time.Minute) })
	require.Equal(t, string(WebhookWaits), waits.Trace(notFound).Cause.Code)
	lettered := sentContact(store.DonationSubmitted, func(c *Contact) {
		c.Letter, c.LetterAt, c.LetterCode = new(uuid.UUID), now, "webhook_unapplied"
	})
	require.Equal(t, string(WebhookLetter), lettered.Trace(notFound).Cause.Code)
}

// A confirmed contact is judged by what Virtuous has, before what is still to be compared.
func TestConfirmedContactIsJudgedByBothSides(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		change func(*Contact)
		asked  Lookup
		want   Cause
	}{
		{nil, unasked, ConfirmedUnasked},
		{nil, notFound, ContactGone},
		{nil, changed, ValuesDiffer},
		{func(c *Contact) { c.Row.SyncState = "conflict" }, found, InConflict},
		{func(c *Contact) { c.Row.State, c.Row.MergedInto = store.PartnerMerged, 56 }, found, ContactMerged},
		{func(c *Contact) { c.Row.State = store.PartnerArchived }, unasked, ContactArchived},
		{func(c *Contact) { c.Row, c.Stored = nil, nil }, found, MissedWebhook},
		{func(c *Contact) { c.Row, c.Stored = nil, nil }, notFound, ConfirmedUnasked},
		{func(c *Contact) { c.Transaction.CompareWantedAt = ago(time.Hour) }, unasked, ContactCompareWaits},
		{func(c *Contact) { c.Transaction.CompareWantedAt = ago(time.Hour) }, changed, ValuesDiffer},
		{func(c *Contact) { c.Customer.OffboardedAt = ago(time.Hour) }, unasked, Offboarded},
	} {
		require.Equal(t, string(one.want), sentContact(store.DonationConfirmed, one.change).Trace(one.asked).Cause.Code)
	}
}

func TestTimelineOfAContactHasEachHop(t *testing.T) {
	t.Parallel()
	contact := sentContact(store.DonationConfirmed, func(c *Contact) {
		c.PublishedAt = now.Add(-90 * time.Hour)
		c.Attempts = []store.AttemptEntry{
			{At: now.Add(-60 * time.Hour), Verdict: "unclear", Status: 503, RequestID: "r-1", Error: "status 503"},
			{At: now.Add(-49 * time.Hour), Verdict: "accepted", Status: 200, RequestID: "r-2"},
		}
		c.Transaction.LookedUpAt, c.Transaction.RecoveryPath, c.Transaction.CompareWantedAt = ago(20*time.Hour), "reconciliation_lookup", ago(time.Hour)
		c.Others = []store.TracedContact{{ReferenceID: "donor-9", ConfirmedAt: ago(40 * time.Minute)}}
		c.ReferenceFrom = ago(time.Hour)
		c.Actions = []store.ReconciliationAction{{RunAt: now.Add(-time.Hour), Category: "stuck", Resolution: "auto_recovered", Details: []byte(`{}`)}}
		c.Letters = []store.TracedLetter{{
			Kind: "contact", FirstFailedAt: now.Add(-99 * time.Hour), SettledAt: ago(98 * time.Hour), SettledHow: "superseded", State: store.LettersSettled,
		}}
		c.Acts = []store.Act{{At: now.Add(-50 * time.Hour), Verb: "contacts.retry", Outcome: "done", Operator: "ana@ops"}}
		c.Row.CreatedAt = now.Add(-time.Hour)
	})
	trace := contact.Trace(Lookup{Outcome: operatorapi.LookupFound, ID: 55, At: now})
	require.Equal(t, []string{
		hopCaptured, hopLetter, hopLetter, hopPublished, hopAttempt, hopDecision, hopAttempt, hopSubmitted, hopLookup, hopConfirmed, hopComparison,
		hopReference, hopStored, hopWebhook, hopReconciliation, hopConfirmed, hopLookup,
	}, hopsOf(trace))
	require.Equal(t, 503, *trace.Timeline[4].Status)
	require.Equal(t, "r-1", *trace.Timeline[4].RequestID)
	require.Equal(t, "ana@ops", *trace.Timeline[5].By)
	require.Equal(t, "Virtuous had no contact of it", trace.Timeline[8].Text)
	require.Equal(t, "a contact with its reference was seen, by a lookup of a reconciliation", trace.Timeline[9].Text)
	require.Equal(t, "confirmed", *trace.State)
	require.Equal(t, "donor-310", *trace.PlatformRecordID)
	require.EqualValues(t, 55, *trace.VirtuousRecordID)
	known := sentContact(store.DonationConfirmed, func(c *Contact) { c.Transaction.SubmittedAt, c.Transaction.RecoveryPath = nil, "known_reference" })
	require.Contains(t, hopTexts(known.Trace(found)), "a contact with its reference was seen, before this version was captured: nothing was sent")
}

func hopsOf(trace operatorapi.Trace) (hops []string) {
	for _, hop := range trace.Timeline {
		hops = append(hops, hop.Hop)
	}
	return hops
}

func hopTexts(trace operatorapi.Trace) (texts []string) {
	for _, hop := range trace.Timeline {
		texts = append(texts, hop.Text)
	}
	return texts
}
