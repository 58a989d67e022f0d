package record

import (
	"cmp"
	"strings"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// judged is a cause, and what its words need.
type judged struct {
	cause Cause
	why   string
}

// judge returns the cause of a donation or gift, given what Virtuous answered about it.
func (g *Gift) judge(asked Lookup) judged {
	cause := g.judgeState(asked)
	letter := g.openLetter()
	if letter != nil && g.Donation != nil && stateOf(cause.cause) != operatorapi.CauseAct {
		return judged{ContentRejected, cmp.Or(letter.Reason, letter.ErrorCode)}
	}
	return cause
}

func stateOf(cause Cause) string { return table()[cause].state }

func (g *Gift) openLetter() *store.TracedLetter { return firstOpen(g.Letters) }

// firstOpen returns the newest letter that is open, nil if none is.
func firstOpen(letters []store.TracedLetter) *store.TracedLetter {
	for _, letter := range letters {
		if letter.State != store.LettersSettled {
			return &letter
		}
	}
	return nil
}

func (g *Gift) judgeState(asked Lookup) judged {
	switch {
	case g.Customer.OffboardedAt != nil:
		return judged{cause: Offboarded}
	case g.Donation == nil:
		return g.judgeWithoutDonation(asked)
	case g.Donation.Status == store.DonationConfirmed:
		return g.judgeGift(asked)
	case asked.Outcome == operatorapi.LookupFound, g.Letter != nil, g.WaitsSince != nil: // its gift is there
		return g.judgeMissed()
	}
	return g.transaction().judge(g.Customer, asked)
}

// judgeMissed is for a record that Virtuous has and that is not applied here.
func (d Delivered) judgeMissed() judged {
	switch {
	case d.Letter != nil:
		return judged{WebhookLetter, d.LetterCode}
	case d.WaitsSince != nil:
		return judged{WebhookWaits, "received " + moment(*d.WaitsSince)}
	}
	return judged{cause: MissedWebhook}
}

func (g *Gift) judgeWithoutDonation(asked Lookup) judged {
	if letter := g.openLetter(); letter != nil {
		return judged{NotCaptured, cmp.Or(letter.Reason, letter.ErrorCode)}
	}
	if g.Row != nil {
		return g.judgeGift(asked)
	}
	return judgeUnknown(g.Customer, g.Delivered, asked, Unknown)
}

// judgeUnknown is for an id that is not known here; nowhere is the cause if Virtuous does not know it either.
func judgeUnknown(customer Customer, delivered Delivered, asked Lookup, nowhere Cause) judged {
	switch {
	case customer.Giving == nil:
		return judged{cause: NoGiving}
	case asked.Outcome == operatorapi.LookupFound, delivered.Letter != nil, delivered.WaitsSince != nil:
		return delivered.judgeMissed()
	case asked.Outcome == operatorapi.LookupNotFound:
		return judged{cause: nowhere}
	}
	return judged{UnknownUnasked, asked.Reason}
}

// judgeGift is for a gift that is known here.
func (g *Gift) judgeGift(asked Lookup) judged {
	if g.Row == nil { // the gift itself was forgotten, such as that of another organization
		if asked.Outcome == operatorapi.LookupFound {
			return g.judgeMissed()
		}
		return judged{ConfirmedUnasked, cmp.Or(asked.Reason, "the gift is not stored here")}
	}
	isDeleted := g.Row.State == store.PartnerDeleted
	switch {
	case isDeleted && asked.Outcome == operatorapi.LookupFound:
		return judged{ValuesDiffer, "state"}
	case isDeleted:
		return judged{cause: GiftDeleted}
	case g.isDeletionHeld() && asked.Outcome != operatorapi.LookupFound:
		return judged{cause: GiftDeletionHeld}
	case asked.Outcome == operatorapi.LookupNotFound:
		return judged{cause: DeletionMissed}
	}
	kind := GiftKnown
	if g.Donation != nil {
		kind = Confirmed
	}
	if isReversal(g.Row) {
		kind = GiftReversed
	}
	return judgeKnown(asked, g.Row.SyncState, g.Delivered, kind)
}

// isDeletionHeld reports whether the last search for deleted gifts missed the gift, and waits for an approval before it asks for it.
func (g *Gift) isDeletionHeld() bool {
	return len(g.Deletions) > 0 && g.Deletions[0].RunState == searchHeld && g.Deletions[0].State == string(store.CandidateMissing)
}

// searchHeld is the state of a search that an operator has to approve or reject.
const searchHeld = "held"

// judgeKnown is for a record that both sides have.
func judgeKnown(asked Lookup, syncState string, delivered Delivered, consistent Cause) judged {
	switch {
	case delivered.Letter != nil, delivered.WaitsSince != nil:
		return delivered.judgeMissed()
	case len(asked.Changed) > 0:
		return judged{ValuesDiffer, strings.Join(asked.Changed, ", ")}
	case syncState == "conflict":
		return judged{cause: InConflict}
	case syncState == "partner_pending":
		return judged{cause: PartnerPending}
	case syncState == "virtuous_pending":
		return judged{cause: VirtuousPending}
	case stateOf(consistent) == operatorapi.CauseOK && asked.Outcome != operatorapi.LookupFound:
		return judged{ConfirmedUnasked, asked.Reason}
	}
	return judged{cause: consistent}
}

// isReversal reports whether a gift takes back another one.
func isReversal(gift *store.GiftRow) bool {
	letters := strings.NewReplacer(" ", "", "-", "", "_", "").Replace(strings.ToLower(gift.GiftType))
	return letters == "reversingtransaction" || strings.HasPrefix(gift.Amount, "-")
}

// judge returns the cause of a contact, given what Virtuous answered about it.
func (c *Contact) judge(asked Lookup) judged {
	cause := c.judgeState(asked)
	letter := firstOpen(c.Letters)
	if letter != nil && c.Transaction != nil && stateOf(cause.cause) != operatorapi.CauseAct {
		return judged{ContactVersionRejected, cmp.Or(letter.Reason, letter.ErrorCode)}
	}
	return cause
}

func (c *Contact) judgeState(asked Lookup) judged {
	switch {
	case c.Customer.OffboardedAt != nil:
		return judged{cause: Offboarded}
	case c.Transaction == nil:
		return c.judgeWithoutTransaction(asked)
	case c.Transaction.Status == store.DonationConfirmed:
		return c.judgeContact(asked)
	case asked.Outcome == operatorapi.LookupFound, c.Letter != nil, c.WaitsSince != nil: // it is a contact at Virtuous
		return c.judgeMissed()
	}
	return c.transaction().judge(c.Customer, asked)
}

func (c *Contact) judgeWithoutTransaction(asked Lookup) judged {
	if letter := firstOpen(c.Letters); letter != nil {
		return judged{ContactNotCaptured, cmp.Or(letter.Reason, letter.ErrorCode)}
	}
	if c.Row == nil {
		return judgeUnknown(c.Customer, c.Delivered, asked, ContactUnknown)
	}
	return c.judgeContact(asked)
}

// judgeContact is for a contact that Virtuous has, or had.
func (c *Contact) judgeContact(asked Lookup) judged {
	switch {
	case c.Row == nil && asked.Outcome == operatorapi.LookupFound: // what was stored of it was forgotten
		return c.judgeMissed()
	case c.Row == nil:
		return judged{ConfirmedUnasked, cmp.Or(asked.Reason, "the contact is not stored here")}
	case asked.Outcome == operatorapi.LookupNotFound:
		return judged{cause: ContactGone}
	}
	kind := ContactKnown
	switch {
	case c.Row.State == store.PartnerMerged:
		kind = ContactMerged
	case c.Row.State == store.PartnerArchived:
		kind = ContactArchived
	case c.Transaction != nil && c.Transaction.CompareWantedAt != nil:
		kind = ContactCompareWaits
	case c.Transaction != nil:
		kind = ContactConfirmed
	}
	found := judgeKnown(asked, c.Row.SyncState, c.Delivered, kind)
	if found.cause == ConfirmedUnasked && (kind == ContactMerged || kind == ContactArchived) {
		return judged{cause: kind}
	}
	return found
}
