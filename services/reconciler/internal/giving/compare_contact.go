package giving

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/giving/resolution"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

const (
	// pairsAtOnce is how many pairs one look for drift reads.
	pairsAtOnce = 500
	// driftAge is within which time a side of a pair must have changed for the pair to be compared: each comparison costs a request.
	driftAge = 30 * 24 * time.Hour
	// compareAgain is how long a comparison waits that an answer made impossible which says nothing of the contact.
	compareAgain = 15 * time.Minute
)

// Resolutions in the log, of fields that differ.
const (
	resolutionToVirtuous = "written_to_virtuous"
	resolutionToPartner  = "partner_pending"
	resolutionConflict   = "conflict"
	resolutionSettled    = "settled"
)

// driftProgress is where a pass of drift goes on.
type driftProgress struct {
	After int64 `json:"after"` // the last pair that was looked at
}

// contactChanges compares the contacts of which one side has changed.
func (p *pass) contactChanges(ctx context.Context) (complete bool, err error) {
	var after store.Place
	for {
		due, err := p.Reconciler.Store.ContactsToCompare(ctx, p.Customer.ID, after, batchSize)
		if err != nil {
			return false, err
		}
		if len(due) == 0 {
			return true, p.end(ctx)
		}
		for _, one := range due {
			if err := p.compareContact(ctx, one.ID, true); err != nil {
				return false, err
			}
			if after = one; p.mustEnd(ctx) {
				return false, nil
			}
		}
	}
}

// drift compares the pairs that count as equal and of which one side changed lately: a difference that no message and no webhook has shown.
func (p *pass) drift(ctx context.Context, one store.GivingReconciliation) (complete bool, err error) {
	progress, err := progressOf[driftProgress](one)
	if err != nil {
		return false, err
	}
	for {
		due, last, err := p.Reconciler.Store.ContactsThatMayDrift(ctx, p.Customer.ID, progress.After, driftAge, pairsAtOnce)
		if err != nil {
			return false, err
		}
		if last == 0 {
			return true, p.end(ctx)
		}
		for _, id := range due {
			if err := p.compareContact(ctx, id, false); err != nil {
				return false, errors.Join(err, p.keepProgress(ctx, progress))
			}
			if progress.After = id; p.mustEnd(ctx) {
				return false, p.setProgress(ctx, progress)
			}
		}
		progress.After = last
		if err := p.setProgress(ctx, progress); err != nil {
			return false, err
		}
	}
}

// comparison is the comparison of one pair.
type comparison struct {
	*pass

	pair     store.ContactPair
	key      vault.CustomerKey
	hashKey  []byte
	contact  giving.PartnerContact
	at       virtuous.Contact // as it was read last
	isChange bool             // a side has changed, as a message or webhook said
	writes   []string         // fields that are to be written to Virtuous
	changed  []*rollcallv1.ContactDifference
	entries  []store.ReconciliationEntry
}

// compareContact compares a pair: it reads Virtuous' contact, decides about each field, and writes what the platform is right about.
func (p *pass) compareContact(ctx context.Context, id int64, isChange bool) error {
	c := &comparison{pass: p, isChange: isChange}
	if err := c.open(ctx, id); errors.Is(err, store.ErrNotFound) {
		return nil // it is not confirmed any more
	} else if err != nil {
		return err
	}
	read, err := c.read(ctx)
	switch {
	case errors.Is(err, virtuous.ErrNotFound):
		p.Worked++
		return c.forget(ctx)
	case err != nil:
		return c.putOff(ctx, err)
	}
	p.Worked++
	if err := c.settle(ctx, read, c.judge); err != nil {
		return err
	}
	if err := p.at("judged"); err != nil || len(c.writes) == 0 {
		return err
	}
	return c.write(ctx)
}

// open reads what the platform has.
func (c *comparison) open(ctx context.Context, id int64) (err error) {
	if c.pair, err = c.Reconciler.Store.ContactPair(ctx, c.Customer.ID, id); err != nil {
		return err
	}
	if c.key, err = c.Inbound.Vault.KeyOf(ctx, c.Customer.ID); err != nil {
		return fmt.Errorf("open the customer's key: %w", err)
	}
	if c.hashKey, err = c.key.HashKey(); err != nil {
		return fmt.Errorf("open the customer's hash key: %w", err)
	}
	plain, err := c.key.Open(giving.PurposePartnerContact, c.pair.PartnerSealed)
	if err != nil {
		return fmt.Errorf("open contact %d: %w", id, err)
	}
	c.contact, err = giving.DecodePartnerContact(plain)
	return err
}

// read reads Virtuous' contact.
func (c *comparison) read(ctx context.Context) (record inbound.Record, err error) {
	record = inbound.Record{Read: true}
	if record.At, err = c.Reconciler.Store.Now(ctx); err != nil {
		return record, err
	}
	if c.at, err = c.client.Contact(ctx, c.pair.VirtuousContactID); err != nil {
		if errors.Is(err, virtuous.ErrNotFound) {
			c.unclear, c.answered = 0, true
		}
		return record, err
	}
	record.Contact = &c.at
	if lacks := record.Lacks(); len(lacks) > 0 {
		return record, fmt.Errorf("contact %d lacks %v: %w", c.at.ID, lacks, virtuous.ErrUnknownAnswer)
	}
	c.unclear, c.answered = 0, true
	return record, c.pass.at("contact_read")
}

// putOff has the pair compared later, if the answer says nothing of it, and the pass go on with the next one.
func (c *comparison) putOff(ctx context.Context, err error) error {
	if errors.Is(err, virtuous.ErrNotFound) { // a part of the contact was removed between two requests
		c.Failed++
	} else if ended := c.unknown(ctx, err); ended != nil {
		return ended
	}
	return c.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		return tx.PostponeComparison(ctx, c.Customer.ID, c.pair, compareAgain)
	})
}

// forget ends the wish for a comparison with a contact that Virtuous does not have any more.
func (c *comparison) forget(ctx context.Context) error {
	return c.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := tx.LockContactPair(ctx, c.Customer.ID, c.pair); err != nil {
			return ignoreNotFound(err)
		}
		_, err := tx.NoteCompared(ctx, c.Customer.ID, c.pair, false)
		return err
	})
}

func ignoreNotFound(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// settle applies what was read, and has the pair's fields decided about, in one transaction. A pair of which a side is another one by now is left to
// the comparison that this side's change wants.
func (c *comparison) settle(ctx context.Context, read inbound.Record, decide func(ctx context.Context, tx *store.Tx, now time.Time) error) error {
	return c.inLane(ctx, func(ctx context.Context, tx *store.Tx) error {
		c.writes, c.changed, c.entries = nil, nil, nil
		applying := c.inboundPass(recoveredByLookup)
		applying.Compares = true
		if _, err := c.Inbound.Apply(ctx, tx, c.keys, applying, []inbound.Record{read}); err != nil {
			return err
		}
		if err := tx.LockContactPair(ctx, c.Customer.ID, c.pair); err != nil {
			return ignoreNotFound(err)
		}
		now, err := tx.Now(ctx)
		if err != nil {
			return err
		}
		if err := decide(ctx, tx, now); err != nil {
			return err
		}
		return c.conclude(ctx, tx, now)
	})
}

// judge decides about each field that the platform has. The rules are read here: those of the round's begin may be others by now, and a field that new
// rules decide anew is not to be decided by the rules before.
func (c *comparison) judge(ctx context.Context, tx *store.Tx, now time.Time) error {
	config, err := tx.VirtuousConfig(ctx, c.Customer.ID)
	if err != nil {
		return err
	}
	rules := resolution.Parse(config.Resolution)
	partner, ours := sidesOf(c.contact, c.at)
	differing := resolution.Compare(partner, ours)
	known, err := tx.ContactDifferences(ctx, c.Customer.ID, c.pair.ID)
	if err != nil {
		return err
	}
	occasion := resolution.Occasion{VirtuousAt: c.at.ModifiedAt}
	if c.pair.PartnerModifiedAt != nil {
		occasion.PartnerAt = *c.pair.PartnerModifiedAt
	}
	for _, name := range resolution.Fields() {
		row, field, err := c.fieldOf(name, known)
		if err != nil {
			return err
		}
		value := resolution.Difference{Field: name, Partner: partner.Of(name), Virtuous: ours.Of(name)}
		pair := c.pairOf(value)
		differs := slices.ContainsFunc(differing, func(one resolution.Difference) bool { return one.Field == name })
		verdict := field.Judge(name, rules, pair, differs, c.pair.IsSent, occasion, now)
		if err := c.carryOut(ctx, tx, row, field, verdict, value); err != nil {
			return err
		}
		if value.Partner != "" {
			c.pair.Compared[name] = store.ComparedPair(pair)
		} else {
			delete(c.pair.Compared, name)
		}
	}
	return nil
}

// pairOf returns the hashes of a field's two values.
func (c *comparison) pairOf(value resolution.Difference) resolution.Pair {
	return resolution.Pair{
		Partner:  hex.EncodeToString(giving.FieldHash(c.hashKey, value.Field, value.Partner)[:16]),
		Virtuous: hex.EncodeToString(giving.FieldHash(c.hashKey, value.Field, value.Virtuous)[:16]),
	}
}

// fieldOf returns what is known of a field.
func (c *comparison) fieldOf(name string, known []store.ContactDifference) (row store.ContactDifference, field *resolution.Field, err error) {
	row, field = store.ContactDifference{ContactID: c.pair.ID, Field: name}, &resolution.Field{}
	if compared, ok := c.pair.Compared[name]; ok {
		pair := resolution.Pair(compared)
		field.Compared = &pair
	}
	at := slices.IndexFunc(known, func(one store.ContactDifference) bool { return one.Field == name })
	if at < 0 {
		return row, field, nil
	}
	row = known[at]
	field.IsOpen = row.State != store.DifferenceSettled
	field.IsWriting, field.IsAsked = row.State == store.DifferenceVirtuousPending, row.State == store.DifferencePartnerPending
	switch row.Decision {
	case store.DifferenceTakePartner:
		field.Ordered = resolution.ToVirtuous
	case store.DifferenceTakeVirtuous:
		field.Ordered = resolution.ToPartner
	case store.DifferenceAnew:
		field.DecideAnew = true
	}
	if row.AppliedAt != nil {
		field.AppliedAt = *row.AppliedAt
	}
	if err := json.Unmarshal(row.Turns, &field.Turns); err != nil {
		return row, field, fmt.Errorf("decode turns of field %s: %w", name, err)
	}
	return row, field, nil
}

// carryOut stores what is done about a field.
func (c *comparison) carryOut(ctx context.Context, tx *store.Tx, row store.ContactDifference, field *resolution.Field, verdict resolution.Verdict,
	value resolution.Difference,
) error {
	switch {
	case verdict.Settles:
		return c.save(ctx, tx, row, field.Turns, store.DifferenceSettled, "", value)
	case verdict.Decision == 0:
		return nil
	case verdict.Decision == resolution.ToVirtuous:
		row.OtherContactID = 0
		if _, err := writeOf(value.Field, c.contact, c.at); err != nil {
			return c.save(ctx, tx, row, field.Turns, store.DifferenceConflict, resolution.ReasonCannotWrite, value)
		}
		c.writes = append(c.writes, value.Field)
		return c.save(ctx, tx, row, field.Turns, store.DifferenceVirtuousPending, "", value)
	case verdict.Decision == resolution.ToPartner:
		return c.save(ctx, tx, row, field.Turns, store.DifferencePartnerPending, "", value)
	}
	return c.save(ctx, tx, row, field.Turns, store.DifferenceConflict, verdict.Reason, value)
}

// save stores the state of a field, with both values as long as it is open, and opens or ends the item about it that waits for a person.
func (c *comparison) save(ctx context.Context, tx *store.Tx, row store.ContactDifference, turns resolution.Turns, state, reason string,
	value resolution.Difference,
) error {
	wasOpen := row.State != "" && row.State != store.DifferenceSettled
	before := row.State
	row.State, row.Reason = state, reason
	var err error
	if row.Turns, err = json.Marshal(turns); err != nil {
		return fmt.Errorf("encode turns: %w", err)
	}
	row.ValuesSealed = nil
	if state != store.DifferenceSettled {
		details := []operatorapi.ReviewDetail{{Field: value.Field, Partner: value.Partner, Virtuous: value.Virtuous}}
		if row.OtherContactID != 0 {
			details = append(details, operatorapi.ReviewDetail{Field: store.DetailOtherContact, Virtuous: strconv.FormatInt(row.OtherContactID, 10)})
		}
		if row.ValuesSealed, err = c.sealDetails(details); err != nil {
			return err
		}
	}
	if row.ID, err = tx.SaveContactDifference(ctx, c.Customer.ID, row); err != nil {
		return err
	}
	if state == store.DifferenceConflict {
		if err := c.openReview(ctx, tx, row); err != nil {
			return err
		}
	} else if err := tx.SupersedeReview(ctx, c.Customer.ID, store.KindContact, row.ID); err != nil {
		return err
	}
	if wasOpen || state != store.DifferenceSettled {
		c.note(row, before)
	}
	return nil
}

func (c *comparison) sealDetails(details []operatorapi.ReviewDetail) ([]byte, error) {
	plain, err := json.Marshal(details)
	if err != nil {
		return nil, fmt.Errorf("encode both values: %w", err)
	}
	sealed, err := c.key.Seal(store.PurposeReviewDetails, plain)
	if err != nil {
		return nil, fmt.Errorf("seal both values: %w", err)
	}
	return sealed, nil
}

// openReview has a person decide about a field.
func (c *comparison) openReview(ctx context.Context, tx *store.Tx, row store.ContactDifference) error {
	decisions := []string{store.DifferenceTakePartner, store.DifferenceTakeVirtuous, store.DifferenceDismiss}
	if row.Reason == resolution.ReasonCannotWrite {
		decisions = decisions[1:]
	}
	_, err := tx.OpenReview(ctx, store.ReviewItem{
		Customer: c.Customer.ID, Kind: store.KindContact, SourceID: row.ID, RecordID: strconv.FormatInt(c.pair.VirtuousContactID, 10), Reason: row.Reason,
		Decisions: decisions,
	}, row.ValuesSealed)
	return err
}

// note adds a field to the pair's event and to the log. A write that is only about to be made is in it when it has been made.
func (c *comparison) note(row store.ContactDifference, before string) {
	if row.State == store.DifferenceVirtuousPending {
		return
	}
	c.changed = append(c.changed, &rollcallv1.ContactDifference{
		Field: row.Field, State: row.State, Reason: row.Reason, OtherContactId: row.OtherContactID,
	})
	details := map[string]any{"field": row.Field}
	if c.isChange {
		details["occasion"] = "change"
	}
	if row.Reason != "" {
		details["reason"] = row.Reason
	}
	resolved := map[string]string{store.DifferencePartnerPending: resolutionToPartner, store.DifferenceConflict: resolutionConflict}[row.State]
	if row.State == store.DifferenceSettled {
		resolved = resolutionSettled
		if before == store.DifferenceVirtuousPending {
			resolved = resolutionToVirtuous
		}
	}
	c.entries = append(c.entries, store.ReconciliationEntry{
		PlatformID: c.pair.ReferenceID, VirtuousID: c.pair.VirtuousContactID, Entity: entityContact, Resolution: resolved, Details: details,
	})
}

// conclude stores what was compared, and publishes and logs what has changed. A pair with writes stays wanted until they are made.
func (c *comparison) conclude(ctx context.Context, tx *store.Tx, now time.Time) error {
	var err error
	if c.pair.WantedAt, err = tx.NoteCompared(ctx, c.Customer.ID, c.pair, len(c.writes) > 0); err != nil {
		return err
	}
	if err := tx.SetContactSyncState(ctx, c.Customer.ID, c.pair.VirtuousContactID); err != nil {
		return err
	}
	if err := tx.LogReconciliation(ctx, c.Customer.ID, bus.CategoryDrift, c.JobID, c.TraceID, c.entries...); err != nil {
		return err
	}
	return c.publish(ctx, tx, now)
}
