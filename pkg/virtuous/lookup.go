package virtuous

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/tidwall/gjson"
)

// Gift reads a gift by its id. ErrNotFound means that Virtuous has none with it.
func (c *Client) Gift(ctx context.Context, id int64) (Gift, error) {
	gift, r, err := readRecord(ctx, c, []string{"Gift", strconv.FormatInt(id, 10)}, readGift)
	if err == nil && gift.ID != id {
		err = unknownAnswer(r, "it is another gift")
	}
	if err != nil {
		return Gift{}, fmt.Errorf("read a gift: %w", err)
	}
	return gift, nil
}

// GiftByTransaction looks up the gift of a transaction. ErrNotFound means that there is no gift yet: the transaction is
// held, waits for a person, was discarded, or never arrived. Only an answer that has an id, the source (in any case) and
// the transaction's id counts as a gift; any other success, such as the transaction itself, is an ErrUnknownAnswer.
func (c *Client) GiftByTransaction(ctx context.Context, source, id string) (Gift, error) {
	for _, segment := range []string{source, id} {
		if err := checkSegment(segment); err != nil {
			return Gift{}, fmt.Errorf("look up a transaction: %w", err)
		}
	}
	gift, r, err := readRecord(ctx, c, []string{"Gift", source, id}, readGift)
	if err == nil && !gift.IsOf(source, id) {
		err = unknownAnswer(r, "it is not a gift of that source and transaction")
	}
	if err != nil {
		return Gift{}, fmt.Errorf("look up a transaction: %w", err)
	}
	return gift, nil
}

// Contact reads a contact by its id. ErrNotFound means that Virtuous has none with it. A contact that was merged names the
// one that it was merged into.
func (c *Client) Contact(ctx context.Context, id int64) (Contact, error) {
	contact, r, err := readRecord(ctx, c, []string{"Contact", strconv.FormatInt(id, 10)}, readContact)
	if err == nil && contact.ID != id {
		err = unknownAnswer(r, "it is another contact")
	}
	if err != nil {
		return Contact{}, fmt.Errorf("read a contact: %w", err)
	}
	return contact, nil
}

// ContactByReference looks up the contact of an external reference. ErrNotFound means that no contact has it yet. Only an answer that has an id and
// the reference, its source in any case, counts as a contact; any other success is an ErrUnknownAnswer.
func (c *Client) ContactByReference(ctx context.Context, source, id string) (Contact, error) {
	for _, segment := range []string{source, id} {
		if err := checkSegment(segment); err != nil {
			return Contact{}, fmt.Errorf("look up a contact: %w", err)
		}
	}
	contact, r, err := readRecord(ctx, c, []string{"Contact", source, id}, readContact)
	if err == nil && !contact.HasReference(source, id) {
		err = unknownAnswer(r, "it is not a contact of that source and reference")
	}
	if err != nil {
		return Contact{}, fmt.Errorf("look up a contact: %w", err)
	}
	return contact, nil
}

// readRecord reads the record at a path.
func readRecord[T any](ctx context.Context, c *Client, path []string, decode func(gjson.Result) (T, error)) (record T, r reply, err error) {
	r, err = c.read(ctx, call{method: http.MethodGet, path: path})
	if err != nil {
		return record, r, err
	}
	value, err := objectOf(r)
	if err != nil {
		return record, r, err
	}
	record, err = decode(value)
	if err != nil {
		return record, r, unknownAnswer(r, "it has no id")
	}
	return record, r, nil
}

// objectOf returns the JSON object of an answer.
func objectOf(r reply) (gjson.Result, error) {
	if r.oversized {
		return gjson.Result{}, unknownAnswer(r, "it is longer than 16 MiB")
	}
	value, ok := document(r.body)
	if !ok || !value.IsObject() {
		return gjson.Result{}, unknownAnswer(r, "it is no JSON object")
	}
	return value, nil
}
