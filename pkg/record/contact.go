package record

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// Contact is what is stored of a contact at Virtuous, of a contact of the platform, or of both.
type Contact struct {
	Customer Customer
	ID       string // as it was asked for
	FoundAs  string // "": it is not known here
	Source   string // of the reference

	Transaction  *store.ContactTransactionRow // the platform's contact on its way into Virtuous
	PublishedAt  time.Time                    // its newest version
	Attempts     []store.AttemptEntry
	ImportWasRun bool                  // another contact of its day is confirmed
	Others       []store.TracedContact // of the platform, that are the same contact at Virtuous

	Row           *store.ContactRow
	Stored        *store.PartnerContact
	ReferenceFrom *time.Time // since when the reference means the contact

	Actions []store.ReconciliationAction
	Letters []store.TracedLetter
	Acts    []store.Act
	Delivered
}

// Contacts returns what is stored of an id: as that of a contact at Virtuous, and as the platform's reference of one. The two are one record if the
// reference means that contact. There is at least one; one whose FoundAs is "" says that the id is not known.
func Contacts(ctx context.Context, from store.Conn, customer Customer, source, id string) ([]*Contact, error) {
	var found []*Contact
	if number, isID := VirtuousID(id); isID {
		byID := &Contact{Customer: customer, ID: id, FoundAs: operatorapi.FoundAsContact, Source: source}
		if err := byID.loadRow(ctx, from, number); err != nil {
			return nil, err
		}
		if byID.Row != nil {
			if err := byID.loadTransactionOfRow(ctx, from); err != nil {
				return nil, err
			}
			found = append(found, byID)
		}
	}
	byReference := &Contact{Customer: customer, ID: id, Source: source}
	if err := byReference.loadByReference(ctx, from); err != nil {
		return nil, err
	}
	isKnown := byReference.FoundAs != ""
	if len(found) == 0 || isKnown && (byReference.Row == nil || byReference.Row.ID != found[0].Row.ID) {
		found = append(found, byReference)
	}
	for _, one := range found {
		if err := one.loadHistory(ctx, from); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// loadRow adds the contact with an id at Virtuous, if it is known.
func (c *Contact) loadRow(ctx context.Context, from store.Conn, id int64) (err error) {
	if c.Row, err = optional(from.Contact(ctx, c.Customer.ID, id)); err != nil || c.Row == nil {
		return err
	}
	stored, err := from.PartnerContacts(ctx, c.Customer.ID, []int64{id})
	if err == nil && len(stored) > 0 {
		c.Stored = &stored[0]
	}
	return err
}

// loadByReference adds the platform's contact with the reference, and the contact at Virtuous that the reference means.
func (c *Contact) loadByReference(ctx context.Context, from store.Conn) error {
	transaction, err := optional(from.ContactTransaction(ctx, c.Customer.ID, c.ID))
	if err != nil {
		return err
	}
	id := int64(0)
	if transaction != nil {
		c.FoundAs, id = operatorapi.FoundAsReference, transaction.ContactID
		if err := c.keepTransaction(ctx, from, transaction); err != nil {
			return err
		}
	}
	contact, notedAt, err := from.ContactOfReference(ctx, c.Customer.ID, strings.ToLower(strings.TrimSpace(c.Source)), c.ID)
	switch {
	case err == nil:
		c.FoundAs, c.ReferenceFrom, id = operatorapi.FoundAsReference, &notedAt, contact
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	if id == 0 {
		return nil
	}
	return c.loadRow(ctx, from, id)
}

// loadTransactionOfRow adds the newest contact of the platform that is the contact at Virtuous, if there is one, and names the others.
func (c *Contact) loadTransactionOfRow(ctx context.Context, from store.Conn) error {
	same, err := from.ContactsOfContact(ctx, c.Customer.ID, c.Row.ID)
	if err != nil || len(same) == 0 {
		return err
	}
	c.Others = same[1:]
	transaction, err := optional(from.ContactTransactionByID(ctx, c.Customer.ID, same[0].ID))
	if err != nil || transaction == nil {
		return err
	}
	return c.keepTransaction(ctx, from, transaction)
}

// keepTransaction adds a contact of the platform, with its attempts.
func (c *Contact) keepTransaction(ctx context.Context, from store.Conn, transaction *store.ContactTransactionRow) (err error) {
	c.Transaction, c.Source = transaction, transaction.TransactionSource
	if c.Attempts, c.PublishedAt, err = from.ContactAttempts(ctx, c.Customer.ID, transaction.ID); err != nil {
		return err
	}
	c.ImportWasRun, err = c.Customer.importWasRun(ctx, from, store.ContactTransaction, transaction.SubmittedAt)
	return err
}

// VirtuousID returns the contact's id at Virtuous, 0 if none is known.
func (c *Contact) VirtuousID() int64 {
	switch {
	case c.Row != nil:
		return c.Row.ID
	case c.Transaction != nil:
		return c.Transaction.ContactID
	}
	return 0
}

// Reference returns the platform's reference of the contact, "" if none is known.
func (c *Contact) Reference() string {
	switch {
	case c.Transaction != nil:
		return c.Transaction.ReferenceID
	case c.FoundAs != operatorapi.FoundAsContact:
		return c.ID
	}
	return ""
}

// loadHistory adds what the logs have of the record.
func (c *Contact) loadHistory(ctx context.Context, from store.Conn) (err error) {
	customer, reference := c.Customer.ID, c.Reference()
	if c.Actions, err = from.ReconciliationsOf(ctx, customer, reference, c.VirtuousID(), "contact"); err != nil {
		return err
	}
	if id := c.VirtuousID(); id != 0 {
		c.Acts, err = from.ActsOf(ctx, customer, strconv.FormatInt(id, 10), []string{"id", "recordId"}, []string{"record"})
		if err != nil {
			return err
		}
	}
	if reference == "" {
		return nil
	}
	if c.Letters, err = from.LettersOf(ctx, customer, reference, "contact"); err != nil {
		return err
	}
	if reference == strconv.FormatInt(c.VirtuousID(), 10) {
		c.Acts = nil // those below have them
	}
	acts, err := from.ActsOf(ctx, customer, reference, []string{"referenceId", "recordId"}, []string{"contacts", "record"})
	c.Acts = append(c.Acts, acts...)
	return err
}

// Trace returns the trace of a contact, given what Virtuous answered about it.
func (c *Contact) Trace(asked Lookup) operatorapi.Trace {
	trace := operatorapi.Trace{
		FoundAs: unless("", c.FoundAs), PlatformRecordID: unless("", c.Reference()), VirtuousRecordID: unless(0, c.VirtuousID()), Lookup: lookupOf(asked),
	}
	found := c.judge(asked)
	values := valuesOf(c.Customer, operatorapi.TraceContact, c.ID, found)
	values["record"] = contactKind().record
	if id := c.VirtuousID(); id != 0 {
		values["contact"] = strconv.FormatInt(id, 10)
	}
	line := &timeline{}
	if c.Transaction != nil {
		trace.State = &c.Transaction.Status
		c.addTransaction(line)
	}
	line.addIf(c.ReferenceFrom, hopReference, "the reference means this contact since then")
	switch {
	case c.Row != nil:
		trace.HeldState, trace.SyncState = &c.Row.State, &c.Row.SyncState
		if c.Row.MergedInto != 0 {
			values["contact"] = strconv.FormatInt(c.Row.MergedInto, 10)
		}
		if c.Stored != nil {
			line.addVersion(c.Row.CreatedAt, c.Stored.ReadAt, c.Stored.WebhookAt)
		}
	case asked.Outcome == operatorapi.LookupFound:
		trace.VirtuousRecordID = &asked.ID
	}
	line.addActions(c.Actions)
	line.addLetters(c.Letters)
	line.addActs(c.Acts)
	line.addDelivered(c.Delivered)
	line.addLookup(asked)
	trace.Timeline = line.sorted()
	// Commands about the platform's contact take its reference.
	if c.Transaction != nil && stateOf(found.cause) != operatorapi.CauseOK && !isFixable(found.cause) {
		values["id"] = quoted(c.Transaction.ReferenceID)
	}
	if letter := firstOpen(c.Letters); letter != nil {
		values["letter"] = letter.ID.String()
	}
	if c.Letter != nil && found.cause == WebhookLetter {
		values["letter"] = c.Letter.String()
	}
	trace.Cause = Explain(found.cause, values)
	return trace
}

// addTransaction adds what happened to the platform's contact.
func (c *Contact) addTransaction(line *timeline) {
	line.addTransaction(c.transaction())
	if c.PublishedAt.After(c.Transaction.CreatedAt) {
		line.add(c.PublishedAt, hopPublished, "the platform published its newest version")
	}
	line.addIf(c.Transaction.CompareWantedAt, hopComparison, "its newest version waits to be compared with Virtuous' contact since then")
	for _, other := range c.Others {
		line.addIf(other.ConfirmedAt, hopConfirmed, "the platform's contact "+other.ReferenceID+" is this contact, too")
	}
}
