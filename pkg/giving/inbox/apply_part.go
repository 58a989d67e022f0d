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
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// job is the name that events and letters have for webhooks.
const job = "webhook"

// errEnded means that another process ended the work on the part.
var errEnded = errors.New("the part was applied elsewhere")

// Digest returns what recognises a part that comes again: an HMAC of its bytes with the customer's hash key.
func Digest(key, body []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("webhook part\x00"))
	mac.Write(body)
	return mac.Sum(nil)
}

// broken is an entry that cannot be applied.
type broken struct {
	body    []byte // a delivery of this entry alone
	problem string // in our own words
}

// entries are what a part consists of.
type entries struct {
	records []inbound.Record
	broken  []broken
	skipped int   // records that Virtuous does not have any more
	unread  error // why some records are missing: they could not be read
}

// apply applies a part, or postpones it.
func (r *Runner) apply(ctx context.Context, customer string, part store.InboxPart) error {
	log := r.Logger.With(zap.String("customer", customer), zap.Int64("part", part.ID), zap.String("event", part.Event))
	body, err := r.Vault.Open(ctx, customer, PurposePart, part.Sealed)
	if errors.Is(err, vault.ErrKeyGone) || errors.Is(err, vault.ErrForeign) {
		log.Warn("part of a delivery given up: it was sealed for a customer who was offboarded since")
		return r.end(ctx, customer, part, inbound.Pass{}, nil, entries{skipped: part.Records})
	}
	if err != nil {
		return fmt.Errorf("open a part of a delivery: %w", err)
	}
	found := r.entriesOf(ctx, customer, part, body)
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
		return r.Store.PostponeInboxPart(ctx, customer, part.ID, pause)
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
		ended, err := tx.EndInboxPart(ctx, customer, part.ID, end)
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
func (r *Runner) entriesOf(ctx context.Context, customer string, part store.InboxPart, body []byte) (found entries) {
	delivery, err := virtuous.ParseDelivery(body)
	if err != nil {
		return entries{broken: []broken{{body: body, problem: "the delivery is signed, but is not JSON in a form that deliveries have"}}}
	}
	reader := &customerReader{open: r.Open, customer: customer, now: r.Now}
	for _, entry := range delivery.Records() {
		record, ok := inbound.Delivered(entry, part.ReceivedAt)
		if !ok {
			found.broken = append(found.broken, broken{body: alone(delivery, entry), problem: entry.Problem})
			continue
		}
		if record.NeedsRead() {
			record, err = reader.read(ctx, record)
			switch {
			case errors.Is(err, virtuous.ErrNotFound) && r.Now().Sub(part.ReceivedAt) > indexing:
				found.skipped++ // it was deleted since
				continue
			case err != nil:
				found.unread = err
				continue
			}
		}
		found.records = append(found.records, record)
	}
	return found
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
	now      func() time.Time
	reader   Reader
	failed   error // after one failure, nothing more is tried
}

func (c *customerReader) read(ctx context.Context, incomplete inbound.Record) (inbound.Record, error) {
	if c.failed != nil {
		return incomplete, c.failed
	}
	if c.reader == nil {
		if c.reader, c.failed = c.open(ctx, c.customer); c.failed != nil {
			return incomplete, c.failed
		}
	}
	record := inbound.Record{At: c.now(), Read: true}
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
	if err != nil && !errors.Is(err, virtuous.ErrNotFound) {
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
			CustomerId: customer, Event: part.Event, Records: 1, ReceivedAt: timestamppb.New(part.ReceivedAt), Sealed: sealed,
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
			Job:    "webhooks", ErrorCode: "webhook_unreadable", Reason: entry.problem, Attempts: 1,
		})
	}
	return letters, nil
}

// pauseAfter returns the pause after some attempts.
func pauseAfter(attempts int) time.Duration {
	return min(shortestPause<<min(max(attempts-1, 0), 12), longestPause)
}
