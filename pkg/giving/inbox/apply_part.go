package inbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/google/uuid"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/messageletter"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// job is the name that events and letters have for webhooks.
const job = "webhook"

// errEnded means that another process works the part, or has ended it, or that it came again meanwhile.
var errEnded = errors.New("the claim of the part does not count any more")

// Digest returns what recognises a part that comes again: an HMAC of its bytes with the customer's hash key.
func Digest(key, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("webhook part\x00"))
	mac.Write(body)
	return mac.Sum(nil)
}

// broken is an entry, or a whole part, that cannot be applied.
type broken struct {
	body    []byte // a delivery of this entry alone
	records int
	code    string
	problem string // in our own words
}

// Codes of letters.
const (
	codeUnreadable = "webhook_unreadable"
	codeUnapplied  = "webhook_unapplied"
)

// entries are what a part consists of.
type entries struct {
	records []inbound.Record
	broken  []broken
	skipped int   // records that Virtuous does not have any more
	unread  error // why some records are missing: they could not be read
}

// work applies a part, or postpones it. Its error concerns the customer, and not this part alone.
func (r *Runner) work(ctx context.Context, customer string, part store.InboxPart) error {
	log := r.Logger.With(zap.String("customer", customer), zap.Int64("part", part.ID), zap.String("event", part.Event))
	err := round.Guarded(log, func() error { return r.apply(ctx, log, customer, part) })
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil, errors.Is(err, store.ErrUnavailable), errors.Is(err, vault.ErrUnavailable):
		return err
	case part.Attempts < maxTries:
		pause := pauseAfter(part.Attempts)
		log.Warn("part of a delivery postponed: it could not be applied", zap.Duration("pause", pause), zap.Error(err))
		return r.Store.PostponeInboxPart(ctx, customer, part, pause)
	}
	log.Error("part of a delivery given up: it could not be applied", zap.Int("attempts", part.Attempts), zap.Error(err))
	return r.giveUp(ctx, customer, part)
}

// giveUp makes a letter of a part that cannot be applied, so that an operator sees it. Its retry has the part applied again.
func (r *Runner) giveUp(ctx context.Context, customer string, part store.InboxPart) error {
	body, err := r.Vault.Open(ctx, customer, PurposePart, part.Sealed)
	if err != nil {
		return fmt.Errorf("open a part of a delivery: %w", err)
	}
	return r.end(ctx, customer, part, inbound.Pass{}, nil, entries{
		broken: []broken{{body: body, records: part.Records, code: codeUnapplied, problem: "the part could not be applied: the log has the reason"}},
	})
}

// apply applies a part, or postpones it if a record cannot be read now.
func (r *Runner) apply(ctx context.Context, log *zap.Logger, customer string, part store.InboxPart) error {
	body, err := r.Vault.Open(ctx, customer, PurposePart, part.Sealed)
	if errors.Is(err, vault.ErrKeyGone) || errors.Is(err, vault.ErrForeign) {
		log.Warn("part of a delivery given up: it was sealed for a customer who was offboarded since")
		return r.end(ctx, customer, part, inbound.Pass{}, nil, entries{skipped: part.Records})
	}
	if err != nil {
		return fmt.Errorf("open a part of a delivery: %w", err)
	}
	found, err := r.entriesOf(ctx, customer, part, body)
	if err != nil {
		return err
	}
	keys, err := r.Applier.Keys(ctx, customer)
	if err != nil {
		return err
	}
	pass := inbound.Pass{Customer: customer, Job: job, TraceID: part.TraceID}
	if found.unread != nil { // what is complete need not wait
		pause := pauseAfter(part.Attempts)
		log.Info("part of a delivery postponed: a record could not be read", zap.String("code", fault.CodeOf(found.unread)), zap.Duration("pause", pause))
		if err := r.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := r.Applier.Apply(ctx, tx, keys, pass, found.records)
			return err
		}); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		return r.Store.PostponeInboxPart(ctx, customer, part, pause)
	}
	return r.end(ctx, customer, part, pass, keys, found)
}

// end applies the entries of a part, opens letters for broken ones, and ends the work on the part, in one transaction.
func (r *Runner) end(ctx context.Context, customer string, part store.InboxPart, pass inbound.Pass, keys *inbound.Keys, found entries) error {
	letters, err := r.letters(ctx, customer, part, found.broken)
	if err != nil {
		return err
	}
	err = r.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		end := store.InboxEnd{State: store.InboxApplied, Skipped: found.skipped, Failed: len(letters)}
		if len(letters) > 0 {
			end.State = store.InboxLetter
		}
		applied, err := r.applyRecords(ctx, tx, keys, pass, found.records)
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
func (r *Runner) applyRecords(
	ctx context.Context, tx *store.Tx, keys *inbound.Keys, pass inbound.Pass, records []inbound.Record,
) (applied int, err error) {
	if keys == nil {
		return 0, nil
	}
	outcomes, err := r.Applier.Apply(ctx, tx, keys, pass, records)
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

// entriesOf reads the entries of a part, and from Virtuous those that are not complete.
func (r *Runner) entriesOf(ctx context.Context, customer string, part store.InboxPart, body []byte) (found entries, err error) {
	delivery, err := virtuous.ParseDelivery(body)
	if err != nil {
		const problem = "the delivery is signed, but is not JSON in a form that deliveries have"
		return entries{broken: []broken{{body: body, records: 1, code: codeUnreadable, problem: problem}}}, nil //nolint:nilerr // becomes a letter
	}
	reader := &customerReader{open: r.Open, customer: customer}
	for _, entry := range delivery.Records() {
		record, ok := inbound.Delivered(entry, part.ReceivedAt)
		if !ok {
			found.broken = append(found.broken, broken{body: alone(delivery, entry), records: 1, code: codeUnreadable, problem: entry.Problem})
			continue
		}
		if !record.NeedsRead() {
			found.records = append(found.records, record)
			continue
		}
		asked, err := r.Store.Now(ctx) // the one clock by which reads are compared, whatever process makes them
		if err != nil {
			return found, err
		}
		record, err = reader.read(ctx, record, asked)
		switch {
		case err == nil:
			found.records = append(found.records, record)
		case errors.Is(err, virtuous.ErrNotFound) && asked.Sub(part.ReceivedAt) > indexing:
			found.skipped++ // it was deleted since
		case isOfOneRecord(err) && !errors.Is(err, virtuous.ErrNotFound) && part.Attempts >= maxTries:
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

// alone returns a delivery of one entry.
func alone(delivery virtuous.Delivery, entry virtuous.Record) []byte {
	one := virtuous.Delivery{Event: delivery.Event, Models: []json.RawMessage{entry.Raw}}
	return one.Split(0)[0].Body
}

// customerReader reads records of one customer.
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
	if incomplete.Gift != nil {
		var gift virtuous.Gift
		gift, err = c.reader.Gift(ctx, incomplete.Gift.ID)
		record.Gift = &gift
	} else {
		var contact virtuous.Contact
		contact, err = c.reader.Contact(ctx, incomplete.Contact.ID)
		record.Contact = &contact
	}
	if err != nil && !isOfOneRecord(err) {
		c.failed = err
	}
	return record, err
}

// letters returns the letters of broken entries, each with a part of its own.
func (r *Runner) letters(ctx context.Context, customer string, part store.InboxPart, entries []broken) ([]store.MessageLetter, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	key, err := r.Vault.HashKey(ctx, customer)
	if err != nil {
		return nil, fmt.Errorf("derive the customer's hash key: %w", err)
	}
	letters := make([]store.MessageLetter, 0, len(entries))
	for i, entry := range entries {
		sealed, err := r.Vault.Seal(ctx, customer, PurposePart, entry.body)
		if err != nil {
			return nil, fmt.Errorf("seal a part: %w", err)
		}
		payload, err := rollcallv1.Encode(&rollcallv1.WebhookPart{
			CustomerId: customer, Event: part.Event, Records: int32(entry.records), //nolint:gosec // at most those of the part
			ReceivedAt: timestamppb.New(part.ReceivedAt), Sealed: sealed,
			Digest: Digest(key, entry.body), TraceId: part.TraceID,
		})
		if err != nil {
			return nil, fmt.Errorf("encode a part: %w", err)
		}
		if payload, err = r.Vault.Seal(ctx, customer, messageletter.PurposePayload, payload); err != nil {
			return nil, fmt.Errorf("seal a letter: %w", err)
		}
		letters = append(letters, store.MessageLetter{
			ID: uuid.New(), Customer: customer, PayloadSealed: payload, Subject: bus.SubjectWebhooks(customer),
			Origin: "webhook/" + customer + "/" + strconv.FormatInt(part.ID, 10) + "/" + strconv.Itoa(part.Attempts) + "/" + strconv.Itoa(i),
			Job:    "webhooks", ErrorCode: entry.code, Reason: entry.problem, Attempts: max(part.Attempts, 1),
		})
	}
	return letters, nil
}

// pauseAfter returns the pause after some attempts.
func pauseAfter(attempts int) time.Duration {
	return min(shortestPause<<min(max(attempts-1, 0), 12), longestPause)
}
