package inbound

import (
	"context"
	"slices"
	"strings"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
)

// contactRow is a contact's row, and whether it has to be written.
type contactRow struct {
	store.PartnerContact

	isChanged bool
}

func (c *contactRow) version() version {
	return version{modified: c.ModifiedAt, hash: c.Hash, read: c.ReadAt, seen: c.SeenAt, webhook: c.WebhookAt}
}

func (c *contactRow) setVersion(v version) {
	c.ModifiedAt, c.Hash, c.ReadAt, c.SeenAt, c.WebhookAt, c.isChanged = v.modified, v.hash, v.read, v.seen, v.webhook, true
}

func (c *contactRow) sealed() []byte { return c.Sealed }

func (c *contactRow) setSealed(sealed []byte) { c.Sealed = sealed }

// applyContacts applies the contacts of the records, and carries out their merges.
func (w *work) applyContacts(ctx context.Context, records []Record) error {
	var ids []int64
	for _, record := range records {
		if record.Contact != nil {
			ids = append(ids, record.Contact.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	ids = distinct(ids)
	known, err := w.tx.PartnerContacts(ctx, w.Customer, ids)
	if err != nil {
		return err
	}
	rows := make(map[int64]*contactRow, len(ids))
	for _, contact := range known {
		rows[contact.ID] = &contactRow{PartnerContact: contact}
	}
	for i, record := range records {
		if record.Contact == nil {
			continue
		}
		row := rows[record.Contact.ID]
		if row == nil {
			row = &contactRow{PartnerContact: store.PartnerContact{ID: record.Contact.ID}}
			rows[row.ID] = row
		}
		if w.outcomes[i], err = w.applyContact(record, row); err != nil {
			return err
		}
	}
	var changed []store.PartnerContact
	for _, id := range ids {
		if rows[id].isChanged {
			changed = append(changed, rows[id].PartnerContact)
		}
	}
	if err := w.tx.SavePartnerContacts(ctx, w.Customer, changed, w.toCompare(records)); err != nil {
		return err
	}
	noted := references(records)
	if err := w.tx.NoteReferences(ctx, w.Customer, noted); err != nil {
		return err
	}
	ends, err := w.merge(ctx, ids)
	if err != nil {
		return err
	}
	if err := w.noteContacts(records, ends); err != nil {
		return err
	}
	return w.confirmContacts(ctx, records, noted)
}

// toCompare returns the contacts of which a field changed that is compared with the platform's, unless these records are read for a comparison.
func (w *work) toCompare(records []Record) []int64 {
	var ids []int64
	for i, record := range records {
		if record.Contact != nil && w.outcomes[i].Change == Updated && !w.Compares && slices.ContainsFunc(w.outcomes[i].ChangedFields, isCompared) {
			ids = append(ids, record.Contact.ID)
		}
	}
	return ids
}

func isCompared(field string) bool {
	switch field {
	case "name", "firstName", "lastName", "email", "phone", "address1", "address2", "city", "state", "postal", "country":
		return true
	}
	return false
}

// applyContact applies one version of a contact to its row.
func (w *work) applyContact(record Record, row *contactRow) (Outcome, error) {
	contact := record.Contact
	outcome := Outcome{Entity: EntityContact, ID: contact.ID}
	var counts bool
	var err error
	outcome.Change, outcome.ChangedFields, counts, err = w.applyForm(row, record, form{
		entity: EntityContact, modifiedAt: contact.ModifiedAt, fields: contactFields(contact), open: w.openContact, seal: w.sealContact,
	})
	if err != nil || !counts {
		return outcome, err
	}
	if contact.MergedIntoID != 0 && contact.MergedIntoID != row.MergesInto {
		outcome.Change = Merged
	}
	row.set(contact)
	return outcome, nil
}

// set stores what of a version is not sealed.
func (c *contactRow) set(contact *virtuous.Contact) {
	c.Type, c.MergesInto, c.MergedInto = contact.Type, contact.MergedIntoID, contact.MergedIntoID
	switch {
	case contact.MergedIntoID != 0:
		c.State = store.PartnerMerged
	case contact.IsArchived:
		c.State = store.PartnerArchived
	default:
		c.State = store.PartnerLive
	}
}

// contactFields returns what a version of a contact consists of. Whether it is archived is part of its state here.
func contactFields(contact *virtuous.Contact) []virtuous.Field {
	archived := "false"
	if contact.IsArchived {
		archived = "true"
	}
	return append(contact.Fields(), virtuous.Field{Name: "isArchived", Value: archived})
}

// references returns the references of all contacts of the records, also of versions that do not count any more: which contact had
// one last does not depend on the order in which versions arrive.
func references(records []Record) []store.PartnerReference {
	type name struct{ source, id string }
	last := map[name]store.PartnerReference{}
	var order []name
	for _, record := range records {
		if record.Contact == nil {
			continue
		}
		for _, reference := range record.Contact.References {
			one := name{strings.ToLower(strings.TrimSpace(reference.Source)), reference.ID}
			if one.source == "" || one.id == "" {
				continue
			}
			noted := store.PartnerReference{Source: one.source, ID: one.id, ContactID: record.Contact.ID, NotedAt: record.Contact.ModifiedAt}
			known, is := last[one]
			if !is {
				order = append(order, one)
			}
			if !is || noted.NotedAt.After(known.NotedAt) || noted.NotedAt.Equal(known.NotedAt) && noted.ContactID > known.ContactID {
				last[one] = noted
			}
		}
	}
	list := make([]store.PartnerReference, 0, len(order))
	for _, one := range order {
		list = append(list, last[one])
	}
	return list
}

// merge computes the ends of all merges that these contacts are part of, and moves what belongs to merged contacts to them. It
// returns the end of each of them that is merged.
func (w *work) merge(ctx context.Context, ids []int64) (map[int64]int64, error) {
	steps, err := w.tx.MergesAround(ctx, w.Customer, ids)
	if err != nil {
		return nil, err
	}
	next := make(map[int64]int64, len(steps))
	for _, step := range steps {
		next[step.ID] = step.Next
	}
	ends := map[int64]int64{}
	var moved, repointed []store.MergeStep
	for _, step := range steps {
		if step.Next == 0 {
			continue
		}
		end := endOf(step.ID, next)
		if end == step.ID {
			end = 0
		} else {
			ends[step.ID] = end
			repointed = append(repointed, store.MergeStep{ID: step.ID, End: end})
		}
		if end != step.End {
			moved = append(moved, store.MergeStep{ID: step.ID, End: end})
		}
	}
	if err := w.tx.SetMerged(ctx, w.Customer, moved); err != nil {
		return nil, err
	}
	return ends, w.tx.RepointContacts(ctx, w.Customer, repointed)
}

// endOf follows the merges of a contact. A circle ends at the lowest id in it, whichever contact of it is followed.
func endOf(id int64, next map[int64]int64) int64 {
	seen := map[int64]bool{}
	at := id
	for !seen[at] && next[at] != 0 {
		seen[at] = true
		at = next[at]
	}
	if !seen[at] {
		return at
	}
	lowest := at
	for step := next[at]; step != at; step = next[step] {
		lowest = min(lowest, step)
	}
	return lowest
}

// noteContacts adds the events of contacts.
func (w *work) noteContacts(records []Record, ends map[int64]int64) error {
	for i, record := range records {
		if record.Contact == nil {
			continue
		}
		outcome := w.outcomes[i]
		name := map[Change]string{Created: event.ContactCreated, Updated: event.ContactUpdated, Merged: event.ContactMerged}[outcome.Change]
		if name == "" {
			continue
		}
		if err := w.addContactEvent(name, record.Contact, ends[outcome.ID], outcome.ChangedFields); err != nil {
			return err
		}
	}
	return nil
}
