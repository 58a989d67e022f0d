package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/bus"
)

// atOnce is how many messages are worked at once, as in a service.
const atOnce = 8

// takeOut pulls so many messages of a durable and does something with each of them.
func (l *limit) takeOut(ctx context.Context, stream, durable string, count int, do func(ctx context.Context, message jetstream.Msg) error) error {
	consumer, err := l.stream.Consumer(ctx, stream, durable)
	if err != nil {
		return fmt.Errorf("look up consumer: %w", err)
	}
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	for pulled := 0; pulled < count; {
		batch, err := consumer.Fetch(min(count-pulled, 4*atOnce))
		if err != nil {
			return errors.Join(fmt.Errorf("pull: %w", err), group.Wait())
		}
		for message := range batch.Messages() {
			pulled++
			group.Go(func() error { return do(working, message) })
		}
		if err := errors.Join(batch.Error(), working.Err()); err != nil {
			return errors.Join(fmt.Errorf("pull: %w", err), group.Wait())
		}
	}
	return group.Wait()
}

// erase overwrites and deletes a message.
func erase(ctx context.Context, stream jetstream.Stream, message jetstream.Msg) error {
	metadata, err := message.Metadata()
	if err != nil {
		return fmt.Errorf("read metadata: %w", err)
	}
	return stream.SecureDeleteMsg(ctx, metadata.Sequence.Stream)
}

const saveDonation = `
INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
                                     next_attempt_at, created_at, status_at, updated_at)
VALUES ($1, $2, 'pending', 'Bench', $3, $3, '\x00', now(), now(), now(), now())`

// capture inserts the donation of a message.
func (l *limit) capture(ctx context.Context, message jetstream.Msg) error {
	var donation struct {
		CustomerID         string `json:"customerId"`
		PlatformDonationID string `json:"platformDonationId"`
	}
	if err := json.Unmarshal(message.Data(), &donation); err != nil {
		return fmt.Errorf("read a donation: %w", err)
	}
	_, err := l.pool.Exec(ctx, saveDonation, donation.CustomerID, donation.PlatformDonationID, message.Data())
	return err
}

const saveGifts = `
INSERT INTO partner_gifts (customer_id, virtuous_gift_id, state, amount, currency_code, gift_date, gift_type, contact_id, modified_at, content_hash,
                           sealed, created_at, last_sync_at)
SELECT $1, g.id, 'live', g.amount::numeric, 'USD', '2026-02-19', 'Cash', g.contact, '2026-02-20T07:03:12Z', '\x00', g.raw, now(), now()
FROM unnest($2::bigint[], $3::text[], $4::bigint[], $5::bytea[]) AS g (id, amount, contact, raw)`

// apply inserts the gifts of a delivery, publishes an event about each, and acknowledges the message.
func (l *limit) apply(ctx context.Context, message jetstream.Msg) error {
	var delivery struct {
		Models []struct {
			Gift json.RawMessage `json:"gift"`
		} `json:"models"`
	}
	if err := json.Unmarshal(message.Data(), &delivery); err != nil {
		return fmt.Errorf("read a delivery: %w", err)
	}
	var ids, contacts []int64
	var amounts []string
	var raws [][]byte
	for _, model := range delivery.Models {
		var gift struct {
			ID        int64       `json:"id"`
			ContactID int64       `json:"contactId"`
			Amount    json.Number `json:"amount"`
		}
		if err := json.Unmarshal(model.Gift, &gift); err != nil {
			return fmt.Errorf("read a gift: %w", err)
		}
		ids, contacts = append(ids, gift.ID), append(contacts, gift.ContactID)
		amounts, raws = append(amounts, gift.Amount.String()), append(raws, model.Gift)
	}
	customer := message.Subject()[strings.LastIndexByte(message.Subject(), '.')+1:]
	if _, err := l.pool.Exec(ctx, saveGifts, customer, ids, amounts, contacts, raws); err != nil {
		return fmt.Errorf("insert gifts: %w", err)
	}
	if err := l.publishEvents(ctx, customer, ids); err != nil {
		return err
	}
	return message.DoubleAck(ctx)
}

func (l *limit) publishEvents(ctx context.Context, customer string, gifts []int64) error {
	var underWay []jetstream.PubAckFuture
	for _, gift := range gifts {
		sent, err := l.stream.PublishAsync(bus.SubjectEvent("gift.created", customer), fmt.Appendf(nil, `{"customerId":%q,"virtuousGiftId":"%d"}`, customer, gift))
		if err != nil {
			return fmt.Errorf("publish: %w", err)
		}
		underWay = append(underWay, sent)
	}
	for _, sent := range underWay {
		select {
		case <-sent.Ok():
		case err := <-sent.Err():
			return fmt.Errorf("publish: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}
