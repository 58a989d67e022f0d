package giving

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/giving/resolution"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// written is what became of the write of one field.
type written struct {
	field  string
	reason string // "": Virtuous took it; otherwise why it is a conflict
	before string // Virtuous' value before the write
	other  int64  // the other contact that has the email address; 0: it is not known
}

// write gives Virtuous the platform's values of the fields that judge decided so, and reads the contact again: what Virtuous made of a value in its own
// form counts as the same value from then on. A write that got no answer is made again by the next comparison, because its field stays pending.
func (c *comparison) write(ctx context.Context) error {
	_, ours := sidesOf(c.contact, c.at)
	var outcomes []written
	var stopped error
	for _, field := range c.writes {
		one := written{field: field, before: ours.Of(field)}
		if one.reason, one.other, stopped = c.writeField(ctx, field); stopped != nil {
			break
		}
		outcomes = append(outcomes, one)
		if err := c.pass.at("written"); err != nil {
			return err
		}
	}
	if len(outcomes) > 0 {
		waiting := slices.Clone(c.writes[len(outcomes):])
		read, err := c.read(ctx)
		if err != nil {
			return c.putOff(ctx, err)
		}
		err = c.settle(ctx, read, func(ctx context.Context, tx *store.Tx, now time.Time) error {
			if err := c.noteWritten(ctx, tx, outcomes); err != nil {
				return err
			}
			c.writes = waiting
			return c.judge(ctx, tx, now)
		})
		if err != nil {
			return err
		}
	}
	if stopped != nil {
		return c.putOff(ctx, stopped)
	}
	return c.pass.at("noted")
}

// writeField writes one field. reason says why Virtuous did not take it; err is a fault that says nothing of the value.
func (c *comparison) writeField(ctx context.Context, field string) (reason string, other int64, err error) {
	request, err := writeOf(field, c.contact, c.at)
	if err != nil {
		return resolution.ReasonCannotWrite, 0, nil //nolint:nilerr // that is why it is a conflict
	}
	err = c.client.WriteContact(ctx, request)
	switch {
	case err == nil:
		return "", 0, nil
	case errors.Is(err, virtuous.ErrDuplicate):
		other, err = c.holderOf(ctx, c.contact.Email)
		return resolution.ReasonDuplicate, other, err
	case errors.Is(err, virtuous.ErrRejected):
		return resolution.ReasonRejected, 0, nil
	}
	return "", 0, err
}

// holderOf returns which contact at Virtuous has an email address; 0 if Virtuous does not say.
func (c *comparison) holderOf(ctx context.Context, email string) (int64, error) {
	holder, err := c.client.ContactByEmail(ctx, email)
	switch {
	case err == nil:
		return holder.ID, nil
	case errors.Is(err, virtuous.ErrNotFound), errors.Is(err, virtuous.ErrUnknownAnswer), errors.Is(err, virtuous.ErrRejected):
		return 0, nil
	}
	return 0, err
}

// noteWritten stores what became of the writes, by the contact as it was read after them.
func (c *comparison) noteWritten(ctx context.Context, tx *store.Tx, outcomes []written) error {
	known, err := tx.ContactDifferences(ctx, c.Customer.ID, c.pair.ID)
	if err != nil {
		return err
	}
	partner, ours := sidesOf(c.contact, c.at)
	differing := resolution.Compare(partner, ours)
	for _, one := range outcomes {
		row, field, err := c.fieldOf(one.field, known)
		if err != nil {
			return err
		}
		value := resolution.Difference{Field: one.field, Partner: partner.Of(one.field), Virtuous: ours.Of(one.field)}
		differs := slices.ContainsFunc(differing, func(d resolution.Difference) bool { return d.Field == one.field })
		state := store.DifferenceSettled
		switch {
		case one.reason != "" && differs:
			state = store.DifferenceConflict
		case differs && one.before == value.Virtuous: // it answered with a success, and kept what it had
			one.reason, state = resolution.ReasonRejected, store.DifferenceConflict
		default:
			one.reason = ""
		}
		row.OtherContactID = one.other
		if err := c.save(ctx, tx, row, field.Turns, state, one.reason, value); err != nil {
			return err
		}
		c.pair.Compared[one.field] = store.ComparedPair(c.pairOf(value))
	}
	return nil
}

// publish says which fields differ, and what is done about them.
func (c *comparison) publish(ctx context.Context, tx *store.Tx, now time.Time) error {
	if len(c.changed) == 0 {
		return nil
	}
	message, err := event.Fact{
		Name: event.ContactDiffers, Customer: c.Customer.ID, At: now, TraceID: c.TraceID,
		ID: "contact-differs-" + c.Customer.ID + "-" + strconv.FormatInt(c.pair.ID, 10) + "-" + strconv.FormatInt(now.UnixNano(), 10),
		Data: &rollcallv1.ContactDiffers{
			CustomerId: c.Customer.ID, ReferenceId: c.pair.ReferenceID, VirtuousContactId: c.pair.VirtuousContactID, Differences: c.changed, Job: c.category,
		},
	}.Message()
	if err != nil {
		return err
	}
	return tx.Publish(ctx, message)
}
