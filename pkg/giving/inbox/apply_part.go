package inbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

// jobName is the name that events and letters have for webhooks.
const jobName = "webhook"

// errEnded means that another process works the part, or has ended it, that it came again meanwhile, or that its organization was forgotten.
var errEnded = errors.New("the claim of the part does not count any more")

// broken is an entry, or a whole part, that cannot be applied.
type broken struct {
	body    []byte // a delivery of this entry alone
	records int
	code    string
	problem string // in our own words
}

// entries are what a part consists of.
type entries struct {
	records []inbound.Record
	broken  []broken
	skipped int   // records that Virtuous does not have any more
	unread  error // why some records are missing: they could not be read
}

// work applies a part, or postpones it. Its error concerns the customer, and not this part alone.
func (a *Applying) work(ctx context.Context, reader *customerReader, part store.InboxPart) error {
	log := a.Logger.With(zap.String("customer", reader.customer), zap.Int64("part", part.ID), zap.String("event", part.Event))
	err := round.Guarded(log, func() error { return a.apply(ctx, log, reader, part) })
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, errors.Is(err, store.ErrUnavailable), errors.Is(err, vault.ErrUnavailable):
		return err
	case part.Failures+1 < maxTries:
		pause := pauseAfter(part.Failures + 1)
		log.Warn("part of a delivery postponed: it could not be applied", zap.Duration("pause", pause), zap.Error(err))
		_, err := a.Store.PostponeInboxPart(ctx, reader.customer, part, pause, true)
		return err
	}
	log.Error("part of a delivery given up: it could not be applied", zap.Int("attempts", part.Failures+1), zap.Error(err))
	return a.giveUp(ctx, reader.customer, part)
}

// giveUp makes a letter of a part that cannot be applied, so that an operator sees it. Its retry has the part applied again.
func (a *Applying) giveUp(ctx context.Context, customer string, part store.InboxPart) error {
	body, err := a.Vault.Open(ctx, customer, PurposePart, part.Sealed)
	if err != nil {
		return fmt.Errorf("open a part of a delivery: %w", err)
	}
	return a.end(ctx, customer, part, inbound.Pass{}, nil, entries{
		broken: []broken{{body: body, records: part.Records, code: codeUnapplied, problem: "the part could not be applied: the log has the reason"}},
	})
}

// apply applies a part, or postpones it if a record cannot be read now.
func (a *Applying) apply(ctx context.Context, log *zap.Logger, reader *customerReader, part store.InboxPart) error {
	customer := reader.customer
	body, err := a.Vault.Open(ctx, customer, PurposePart, part.Sealed)
	if errors.Is(err, vault.ErrKeyGone) || errors.Is(err, vault.ErrForeign) {
		log.Warn("part of a delivery given up: it was sealed for a customer who was offboarded since")
		return a.end(ctx, customer, part, inbound.Pass{}, nil, entries{skipped: part.Records})
	}
	if err != nil {
		return fmt.Errorf("open a part of a delivery: %w", err)
	}
	keys, err := a.Applier.Keys(ctx, customer)
	if err != nil {
		return err
	}
	err = a.applyBody(ctx, log, reader, part, body, keys, false)
	if errors.Is(err, inbound.ErrUnordered) {
		err = a.applyBody(ctx, log, reader, part, body, keys, true)
	}
	return err
}

// applyBody applies the entries of a part; asks says that Virtuous is asked about deletions, too.
func (a *Applying) applyBody(ctx context.Context, log *zap.Logger, reader *customerReader, part store.InboxPart, body []byte, keys *inbound.Keys,
	asks bool,
) error {
	customer := reader.customer
	found, err := a.entriesOf(ctx, reader, part, body, asks)
	if err != nil {
		return err
	}
	pass := inbound.Pass{Customer: customer, Job: jobName, TraceID: part.TraceID}
	if found.unread != nil { // what is complete need not wait
		failed := isOfPart(found.unread)
		pause := pauseAfter(part.Attempts)
		if failed {
			pause = pauseAfter(part.Failures + 1)
		}
		log.Info("part of a delivery postponed: a record could not be read", zap.String("code", fault.CodeOf(found.unread)), zap.Duration("pause", pause))
		return a.applyComplete(ctx, pass, keys, found.records, func(ctx context.Context, tx *store.Tx) (bool, error) {
			return tx.PostponeInboxPart(ctx, customer, part, pause, failed)
		})
	}
	return a.end(ctx, customer, part, pass, keys, found)
}

// applyComplete applies the records of a part that are complete, and postpones the part for the others.
func (a *Applying) applyComplete(ctx context.Context, pass inbound.Pass, keys *inbound.Keys, records []inbound.Record,
	postpone func(ctx context.Context, tx *store.Tx) (postponed bool, err error),
) error {
	err := a.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if _, err := a.applyRecords(ctx, tx, keys, pass, records); err != nil {
			return err
		}
		postponed, err := postpone(ctx, tx)
		if err == nil && !postponed {
			err = errEnded // the part may be of an organization that was forgotten since
		}
		return err
	})
	if errors.Is(err, errEnded) {
		return nil
	}
	return err
}

// end applies the entries of a part, opens letters for broken ones, and ends the work on the part, in one transaction.
func (a *Applying) end(ctx context.Context, customer string, part store.InboxPart, pass inbound.Pass, keys *inbound.Keys, found entries) error {
	letters, err := a.letters(ctx, customer, part, found.broken)
	if err != nil {
		return err
	}
	err = a.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		end := store.InboxEnd{State: store.InboxApplied, Skipped: found.skipped, Failed: len(letters)}
		if len(letters) > 0 {
			end.State = store.InboxLetter
		}
		applied, err := a.applyRecords(ctx, tx, keys, pass, found.records)
		if err != nil {
			return err
		}
		end.Applied, end.Skipped = applied, end.Skipped+len(found.records)-applied
		ended, err := tx.EndInboxPart(ctx, customer, part, end)
		if err != nil {
			return err
		}
		if !ended {
			return errEnded // also takes the letters back
		}
		for _, letter := range letters {
			if _, _, err := tx.AddMessageLetter(ctx, letter); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errEnded) {
		return nil
	}
	return err
}

// applyRecords applies records and returns how many changed something.
func (a *Applying) applyRecords(
	ctx context.Context, tx *store.Tx, keys *inbound.Keys, pass inbound.Pass, records []inbound.Record,
) (applied int, err error) {
	if keys == nil {
		return 0, nil
	}
	outcomes, err := a.Applier.Apply(ctx, tx, keys, pass, records)
	if err != nil && !errors.Is(err, store.ErrNotFound) { // giving was removed: nothing is applied
		return 0, err
	}
	for _, outcome := range outcomes {
		if outcome.IsApplied() {
			applied++
		}
	}
	return applied, nil
}

// entriesOf reads the entries of a part, and from Virtuous those that are not complete; with asks, also gifts that are said to be deleted.
func (a *Applying) entriesOf(
	ctx context.Context, reader *customerReader, part store.InboxPart, body []byte, asks bool,
) (found entries, err error) {
	delivery, err := virtuous.ParseDelivery(body)
	if err != nil {
		return entries{broken: []broken{{body: body, records: 1, code: codeUnreadable, problem: problemUnreadable}}}, nil //nolint:nilerr // becomes a letter
	}
	for _, entry := range delivery.Records() {
		record, ok := inbound.Delivered(entry, part.ReceivedAt)
		if !ok {
			found.broken = append(found.broken, broken{body: alone(delivery, entry), records: 1, code: codeUnreadable, problem: entry.Problem})
			continue
		}
		deleted := record.DeletedGift
		if !record.NeedsRead() && (deleted == 0 || !asks) {
			found.records = append(found.records, record)
			continue
		}
		asked, err := a.Store.Now(ctx) // the one clock by which reads are compared, whatever process makes them
		if err != nil {
			return found, err
		}
		record, err = reader.read(ctx, record, asked)
		switch {
		case err == nil:
			found.records = append(found.records, record)
		case errors.Is(err, virtuous.ErrNotFound) && deleted != 0:
			found.records = append(found.records, inbound.Record{DeletedGift: deleted, At: asked, Read: true})
		case errors.Is(err, virtuous.ErrNotFound) && asked.Sub(part.ReceivedAt) > indexing:
			found.skipped++ // it was deleted since
		case isOfPart(err) && part.Failures+1 >= maxTries:
			const problem = "Virtuous does not return the record in a form that can be read"
			found.broken = append(found.broken, broken{body: alone(delivery, entry), records: 1, code: codeUnapplied, problem: problem})
		default:
			found.unread = err
		}
	}
	return found, nil
}

// isOfOneRecord reports whether an answer concerns the record that was asked for, and not the customer or Virtuous.
func isOfOneRecord(err error) bool {
	return errors.Is(err, virtuous.ErrNotFound) || errors.Is(err, virtuous.ErrUnknownAnswer) || errors.Is(err, virtuous.ErrRejected)
}

// isOfPart reports whether an answer is a failed attempt at the part. A record that is not found may be found later.
func isOfPart(err error) bool { return isOfOneRecord(err) && !errors.Is(err, virtuous.ErrNotFound) }

// alone returns a delivery of one entry.
func alone(delivery virtuous.Delivery, entry virtuous.Record) []byte {
	one := virtuous.Delivery{Event: delivery.Event, Models: []json.RawMessage{entry.Raw}}
	return one.Split(0)[0].Body
}

// customerReader reads records of one customer, in one round.
type customerReader struct {
	open     func(ctx context.Context, customer string) (Reader, error)
	customer string
	reader   Reader
	failed   error // after one that concerns the customer, nothing more is tried
}

func (c *customerReader) read(ctx context.Context, incomplete inbound.Record, asked time.Time) (inbound.Record, error) {
	if c.failed != nil {
		return incomplete, c.failed
	}
	if c.reader == nil {
		if c.reader, c.failed = c.open(ctx, c.customer); c.failed != nil {
			return incomplete, c.failed
		}
	}
	record := inbound.Record{At: asked, Read: true}
	var err error
	if incomplete.Contact == nil {
		id := incomplete.DeletedGift
		if incomplete.Gift != nil {
			id = incomplete.Gift.ID
		}
		var gift virtuous.Gift
		gift, err = c.reader.Gift(ctx, id)
		record.Gift = &gift
	} else {
		var contact virtuous.Contact
		contact, err = c.reader.Contact(ctx, incomplete.Contact.ID)
		record.Contact = &contact
	}
	if err != nil && !isOfOneRecord(err) {
		c.failed = err
	}
	if lacks := record.Lacks(); err == nil && len(lacks) > 0 {
		err = fmt.Errorf("read a record without %s: %w", strings.Join(lacks, ", "), virtuous.ErrUnknownAnswer)
	}
	return record, err
}

// letters returns the letters of broken entries, each with a part of its own.
func (a *Applying) letters(ctx context.Context, customer string, part store.InboxPart, entries []broken) ([]store.MessageLetter, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	config, err := a.Store.VirtuousConfig(ctx, customer)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	keys, err := OpenKeys(ctx, a.Vault, customer, config.OrganizationID)
	if err != nil {
		return nil, err
	}
	letters := make([]store.MessageLetter, 0, len(entries))
	for i, entry := range entries {
		message, err := Part{
			Customer: customer, Event: part.Event, Records: entry.records, Body: entry.body, ReceivedAt: part.ReceivedAt, TraceID: part.TraceID,
		}.Message(keys)
		if err != nil {
			return nil, err
		}
		opened, err := newLetter(ctx, a.Vault, message, letter{
			origin: originOf(customer, strconv.FormatInt(part.ID, 10)+"/"+strconv.Itoa(part.Attempts)+"/"+strconv.Itoa(i)),
			code:   entry.code, problem: entry.problem, attempts: part.Failures + 1,
		})
		if err != nil {
			return nil, err
		}
		letters = append(letters, opened)
	}
	return letters, nil
}

// pauseAfter returns the pause after some attempts.
func pauseAfter(attempts int) time.Duration {
	return min(shortestPause<<min(max(attempts-1, 0), 12), longestPause)
}
