package giving

import (
	"context"
	"errors"

	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/virtuous"
)

// complete returns the records of a page, each of which lacks no field that its own read has. If the round must end before all of them are
// read, or one could not be read, last is the id of the last one that is returned; otherwise it is 0. A record that Virtuous does not have any
// more is left out. One that cannot be read stays as it is: it is not applied.
func (p *pass) complete(ctx context.Context, page []inbound.Record) (records []inbound.Record, last int64, err error) {
	for i, record := range page {
		if len(record.Lacks()) > 0 {
			if i > 0 && p.mustEnd(ctx) {
				return records, page[i-1].ID(), nil
			}
			record, err = p.readAlone(ctx, record)
			if errors.Is(err, virtuous.ErrNotFound) {
				continue
			}
			if err != nil && i > 0 { // those before it are not read again; the next round begins with this one
				return records, page[i-1].ID(), nil
			}
			if err != nil {
				return nil, 0, err
			}
		}
		records = append(records, record)
	}
	return records, 0, nil
}

// readAlone reads a record by its id. An answer that says nothing of the record leaves it as it is.
func (p *pass) readAlone(ctx context.Context, listed inbound.Record) (read inbound.Record, err error) {
	read = inbound.Record{Read: true}
	if read.At, err = p.Reconciler.Store.Now(ctx); err != nil {
		return listed, err
	}
	if listed.Gift != nil {
		var gift virtuous.Gift
		gift, err = p.client.Gift(ctx, listed.Gift.ID)
		read.Gift = &gift
	} else {
		var contact virtuous.Contact
		contact, err = p.client.Contact(ctx, listed.Contact.ID)
		read.Contact = &contact
	}
	if errors.Is(err, virtuous.ErrUnknownAnswer) || errors.Is(err, virtuous.ErrRejected) {
		return listed, nil
	}
	return read, err
}

// lacking returns how many records are not applied because they lack fields.
func lacking(records []inbound.Record) (lacking int) {
	for _, record := range records {
		if len(record.Lacks()) > 0 {
			lacking++
		}
	}
	return lacking
}
