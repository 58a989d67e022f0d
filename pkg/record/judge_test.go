package record

import (
	"maps"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// now is when the records of this file are traced.
var now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

func ago(d time.Duration) *time.Time { return new(now.Add(-d)) }

func customer(change func(*Customer)) Customer {
	is := Customer{
		Customer: store.Customer{ID: "acme", Enabled: true},
		Giving:   &store.VirtuousConfig{Customer: "acme", Enabled: true, TimeZone: "UTC", ImportsURL: "https://app.example.org/imports"}, Now: now,
	}
	if change != nil {
		change(&is)
	}
	return is
}

// giftOf returns a donation in a state, after a change.
func giftOf(status string, change func(*Gift)) *Gift {
	gift := &Gift{
		Customer: customer(nil), ID: "don-1", FoundAs: operatorapi.FoundAsDonation, ProjectsChecked: true,
		Donation: &store.DonationRow{
			PlatformID: "don-1", Status: status, TransactionSource: "AcmeGive", CreatedAt: now.Add(-100 * time.Hour), StatusAt: now.Add(-time.Hour),
			SubmittedAt: ago(49 * time.Hour), NextAttemptAt: ago(time.Minute),
		},
	}
	if status == store.DonationConfirmed {
		gift.Donation.GiftID, gift.Donation.ConfirmedAt = 901, ago(time.Hour)
		gift.Row = &store.GiftRow{ID: 901, State: store.PartnerLive, SyncState: "in_sync", Amount: "125", GiftType: "Cash", CreatedAt: now}
		gift.Stored = &store.PartnerGift{ID: 901, WebhookAt: now.Add(-time.Hour)}
	}
	if change != nil {
		change(gift)
	}
	return gift
}

func held(reason string) func(*Gift) {
	return func(g *Gift) { g.Customer.Hold = &store.GivingHold{Reason: reason, Until: now.Add(time.Minute)} }
}

func letterOf(kind string) []store.TracedLetter {
	return []store.TracedLetter{{ID: uuid.Nil, Kind: kind, ErrorCode: "donation_invalid", State: store.LettersReview, Reason: "amount: must be above 0"}}
}

func contactOf(state string, change func(*Contact)) *Contact {
	contact := &Contact{
		Customer: customer(nil), ID: "55", FoundAs: operatorapi.FoundAsContact,
		Row: &store.ContactRow{ID: 55, State: state, SyncState: "in_sync", CreatedAt: now}, Stored: &store.PartnerContact{ID: 55},
	}
	if change != nil {
		change(contact)
	}
	return contact
}

func userOf(change func(*User)) *User {
	user := &User{
		Customer: store.Customer{ID: "acme", Enabled: true, BackfillCompletedAt: ago(time.Hour)}, ID: "4101",
		Mapping: &store.TracedUser{ExternalID: "crm-1", SyncedAt: now.Add(-time.Hour), Updated: now.Add(-2 * time.Hour)},
	}
	if change != nil {
		change(user)
	}
	return user
}

func missing(run, state string) []store.TracedDeletion {
	return []store.TracedDeletion{{Run: 7, RunState: run, State: state, NotedAt: now}}
}

var (
	found    = Lookup{Outcome: operatorapi.LookupFound, ID: 901, At: now}
	notFound = Lookup{Outcome: operatorapi.LookupNotFound, At: now}
	unasked  = Lookup{Outcome: operatorapi.LookupNotAsked, Reason: "the customer is paused"}
	unclear  = Lookup{Outcome: operatorapi.LookupUnclear, Reason: "status 503", At: now}
	changed  = Lookup{Outcome: operatorapi.LookupFound, ID: 901, At: now, Changed: []string{"amount"}}
)

// judgedCases has each cause with the facts that lead to it.
func judgedCases() map[Cause]operatorapi.Trace {
	gift := func(status string, asked Lookup, change func(*Gift)) operatorapi.Trace {
		return giftOf(status, change).Trace(asked)
	}
	contact := func(state string, asked Lookup, change func(*Contact)) operatorapi.Trace {
		return contactOf(state, change).Trace(asked)
	}
	user := func(change func(*User)) operatorapi.Trace { return userOf(change).Trace() }
	lost := func(run, state string) operatorapi.Trace {
		return user(func(u *User) { u.Deletions = missing(run, state) })
	}
	without := func(g *Gift) { g.Donation, g.FoundAs = nil, "" }
	cases := map[Cause]operatorapi.Trace{
		Offboarded: gift(store.DonationPending, unasked, func(g *Gift) { g.Customer.OffboardedAt = ago(time.Hour) }),
		NoGiving:   gift(store.DonationPending, unasked, func(g *Gift) { without(g); g.Customer.Giving = nil }),
		Unknown:    gift("", notFound, without), UnknownUnasked: gift("", unasked, without),
		NotCaptured:     gift("", notFound, func(g *Gift) { without(g); g.Letters = letterOf("donation") }),
		ContentRejected: gift(store.DonationSubmitted, notFound, func(g *Gift) { g.Donation.SubmittedAt, g.Letters = ago(time.Hour), letterOf("donation") }),

		PendingUnderWay:   gift(store.DonationPending, notFound, func(g *Gift) { g.Donation.IsAttempting = true }),
		PendingPaused:     gift(store.DonationPending, unasked, func(g *Gift) { g.Customer.PausedAt = ago(time.Hour) }),
		PendingAuthFailed: gift(store.DonationPending, unasked, func(g *Gift) { g.Customer.Giving.Enabled, g.Customer.Giving.DisabledReason = false, "auth_failed" }),
		PendingRemoved:    gift(store.DonationPending, unasked, func(g *Gift) { g.Customer.Giving.Enabled, g.Customer.Giving.DisabledReason = false, "removed" }),
		PendingForbidden:  gift(store.DonationPending, unasked, held("virtuous_forbidden")), PendingThrottled: gift(store.DonationPending, unasked, held("paced")),
		PendingNoKey:       gift(store.DonationPending, unasked, held("virtuous_no_key")),
		PendingUnavailable: gift(store.DonationPending, unasked, held("virtuous_unavailable")),
		PendingHeld:        gift(store.DonationPending, unasked, held("keeper_away")),
		PendingProjects: gift(store.DonationPending, notFound, func(g *Gift) {
			g.ProjectsChecked, g.Donation.LastError, g.Donation.NextAttemptAt = false, "projects_unchecked", ago(-time.Minute)
		}),
		PendingRetried: gift(store.DonationPending, notFound, func(g *Gift) {
			g.Donation.LastError, g.Donation.NextAttemptAt = "status 503", ago(-time.Minute)
		}),
		PendingTurn:    gift(store.DonationPending, notFound, nil),
		PendingNotSent: gift(store.DonationPending, notFound, func(g *Gift) { g.Donation.NextAttemptAt = ago(16 * time.Minute) }),

		SubmittedWaits:        gift(store.DonationSubmitted, notFound, func(g *Gift) { g.Donation.SubmittedAt = ago(48*time.Hour - time.Second) }),
		SubmittedUnasked:      gift(store.DonationSubmitted, unclear, nil),
		SubmittedImportNotRun: gift(store.DonationSubmitted, notFound, nil),
		SubmittedNeedsMatch:   gift(store.DonationSubmitted, notFound, func(g *Gift) { g.ImportWasRun = true }),
		MissedWebhook:         gift(store.DonationSubmitted, found, nil),
		WebhookWaits:          gift(store.DonationSubmitted, found, func(g *Gift) { g.WaitsSince = ago(time.Minute) }),
		WebhookLetter: gift(store.DonationNeedsReview, found, func(g *Gift) {
			g.Letter, g.LetterAt, g.LetterCode = new(uuid.UUID), now, "webhook_unapplied"
		}),
		ReviewImportNotRun: gift(store.DonationNeedsReview, notFound, func(g *Gift) { g.Donation.ReviewReason = "import_not_run" }),
		ReviewMatchNeeded:  gift(store.DonationNeedsReview, notFound, func(g *Gift) { g.Donation.ReviewReason = "match_needed" }),
		Failed:             gift(store.DonationFailed, notFound, func(g *Gift) { g.Donation.LastError = "status 422: amount" }),
		Closed:             gift(store.DonationClosed, notFound, func(g *Gift) { g.Donation.CloseReason = "entered by hand" }),

		Confirmed:        gift(store.DonationConfirmed, found, nil),
		ConfirmedUnasked: gift(store.DonationConfirmed, unasked, nil),
		GiftKnown:        gift(store.DonationConfirmed, found, func(g *Gift) { g.Donation = nil }),
		GiftDeleted:      gift(store.DonationConfirmed, notFound, func(g *Gift) { g.Row.State = store.PartnerDeleted }),
		GiftReversed:     gift(store.DonationConfirmed, found, func(g *Gift) { g.Row.GiftType = "Reversing Transaction" }),
		DeletionMissed:   gift(store.DonationConfirmed, notFound, nil),
		GiftDeletionHeld: gift(store.DonationConfirmed, notFound, func(g *Gift) { g.Deletions = missing("held", "missing") }),
		ValuesDiffer:     gift(store.DonationConfirmed, changed, nil),
		InConflict:       gift(store.DonationConfirmed, found, func(g *Gift) { g.Row.SyncState = "conflict" }),
		PartnerPending:   gift(store.DonationConfirmed, found, func(g *Gift) { g.Row.SyncState = "partner_pending" }),
		VirtuousPending:  gift(store.DonationConfirmed, found, func(g *Gift) { g.Row.SyncState = "virtuous_pending" }),

		ContactKnown: contact(store.PartnerLive, found, nil), ContactArchived: contact(store.PartnerArchived, found, nil),
		ContactMerged:  contact(store.PartnerMerged, found, func(c *Contact) { c.Row.MergedInto = 56 }),
		ContactGone:    contact(store.PartnerLive, notFound, nil),
		ContactUnknown: contact(store.PartnerLive, notFound, func(c *Contact) { c.Row, c.Stored, c.FoundAs = nil, nil, "" }),

		UserMirrored: user(nil),
		UserInactive: user(func(u *User) { u.Customer.PausedAt = ago(time.Hour) }),
		UserLetter:   user(func(u *User) { u.Letters = letterOf("user") }),
		UserLetterWaits: user(func(u *User) {
			u.Letters = letterOf("user")
			u.Letters[0].State = store.LettersWaiting
		}),
		UserDeletionHeld: lost("held", "confirmed"), UserDeletionFailed: lost("done", "failed"),
		UserDeleted: lost("done", "deleted"), UserMissing: lost("unverified", "unknown"),
		UserWriteback:      user(func(u *User) { u.Writeback = &store.TracedWriteback{State: store.WritebackWaiting} }),
		UserWritebackStuck: user(func(u *User) { u.Writeback = &store.TracedWriteback{State: store.WritebackReview} }),
		UserBackfill:       user(func(u *User) { u.Mapping, u.Customer.BackfillCompletedAt = nil, nil }),
		UserUnknown:        user(func(u *User) { u.Mapping = nil }),
	}
	maps.Copy(cases, contactCases())
	return cases
}

func TestEachCauseFollowsFromItsFacts(t *testing.T) {
	t.Parallel()
	cases := judgedCases()
	for _, cause := range Causes() {
		one, isCase := cases[cause]
		require.True(t, isCase, "%s has no facts that lead to it", cause)
		got := one.Cause
		require.Equal(t, string(cause), got.Code)
		require.NotEmpty(t, got.Text, cause)
		require.NotEmpty(t, got.Next, cause)
		require.NotContains(t, got.Text+got.Next, "{", cause)
		require.Contains(t, []string{operatorapi.CauseOK, operatorapi.CauseWait, operatorapi.CauseAct}, got.State, cause)
		if got.Command != nil {
			require.Regexp(t, `^rollcall [^{}]+$`, *got.Command, cause)
		}
	}
	require.Len(t, cases, len(Causes()))
}

// A gift that a held search missed is there, or was found before, or the search is over: the search says nothing of it.
func TestHeldSearchIsTheCauseOnlyIfItMissesTheGiftStill(t *testing.T) {
	t.Parallel()
	for _, one := range []struct {
		run, state string
		asked      Lookup
		want       Cause
	}{
		{"held", "missing", notFound, GiftDeletionHeld},
		{"held", "missing", unasked, GiftDeletionHeld},
		{"held", "missing", unclear, GiftDeletionHeld},
		{"held", "missing", found, Confirmed},
		{"held", "found", notFound, DeletionMissed},
		{"rejected", "missing", notFound, DeletionMissed},
		{"asking", "missing", unasked, ConfirmedUnasked},
	} {
		trace := giftOf(store.DonationConfirmed, func(g *Gift) { g.Deletions = missing(one.run, one.state) }).Trace(one.asked)
		require.Equal(t, string(one.want), trace.Cause.Code, "%+v", one)
	}
	deleted := giftOf(store.DonationConfirmed, func(g *Gift) { g.Deletions, g.Row.State = missing("held", "missing"), store.PartnerDeleted })
	require.Equal(t, string(GiftDeleted), deleted.Trace(notFound).Cause.Code)
}

func TestTimelineHasEachHopInItsOrder(t *testing.T) {
	t.Parallel()
	gift := giftOf(store.DonationConfirmed, func(g *Gift) {
		g.Attempts = []store.AttemptEntry{
			{At: now.Add(-60 * time.Hour), Verdict: "unclear", Status: 503, RequestID: "r-1", Error: "status 503"},
			{At: now.Add(-49 * time.Hour), Verdict: "accepted", Status: 200, RequestID: "r-2"},
		}
		g.Donation.LookedUpAt = ago(20 * time.Hour)
		g.Donation.RecoveryPath = "reconciliation_lookup"
		g.Actions = []store.ReconciliationAction{{RunAt: now.Add(-time.Hour), Category: "stuck", Resolution: "auto_recovered", Details: []byte(`{}`)}}
		g.Letters = []store.TracedLetter{{
			Kind: "donation", FirstFailedAt: now.Add(-99 * time.Hour), SettledAt: ago(98 * time.Hour), SettledHow: "superseded", State: store.LettersSettled,
		}}
		g.Deletions = []store.TracedDeletion{{Run: 7, RunState: "done", State: "found", NotedAt: now.Add(-30 * time.Minute)}}
		g.Acts = []store.Act{{At: now.Add(-50 * time.Hour), Verb: "donations.retry", Outcome: "done", Operator: "ana@ops"}}
	})
	trace := gift.Trace(found)
	for i, hop := range trace.Timeline[1:] {
		require.False(t, hop.At.Before(trace.Timeline[i].At), "the oldest come first")
	}
	require.Equal(t, []string{
		hopCaptured, hopLetter, hopLetter, hopAttempt, hopDecision, hopAttempt, hopSubmitted, hopLookup, hopConfirmed, hopWebhook, hopReconciliation,
		hopDeleted, hopStored, hopLookup,
	}, hopsOf(trace))
	first := trace.Timeline[3]
	require.Equal(t, 503, *first.Status)
	require.Equal(t, "r-1", *first.RequestID)
	require.Equal(t, "ana@ops", *trace.Timeline[4].By)
}

func TestCommandsQuoteWhatAShellWouldRead(t *testing.T) {
	t.Parallel()
	gift := giftOf(store.DonationFailed, func(g *Gift) { g.ID, g.Donation.PlatformID = "a b'c", "a b'c" })
	require.Equal(t, `rollcall donation retry acme 'a b'\''c'`, *gift.Trace(notFound).Cause.Command)
}
