package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/vomo"
)

// task is the work on one row.
type task struct {
	*batch

	row      store.Writeback
	values   values   // all that the messages had
	accepted values   // those that may be written to a user that VOMO has
	refused  []string // the others
	vomoID   string   // "" while it is not known
}

// workRow writes a row's values to VOMO, or finds that a person has to decide. Its error concerns the customer, and not this
// row alone.
func (b *batch) workRow(ctx context.Context, row store.Writeback) error {
	plain, err := b.open(row.Sealed)
	if errors.Is(err, vault.ErrForeign) { // with the key of a customer who was offboarded, and has returned
		return b.drop(ctx, row)
	}
	if err != nil {
		return fmt.Errorf("open values: %w", err)
	}
	kept, err := decodeValues(plain)
	if err != nil {
		return err
	}
	t := &task{batch: b, row: row, values: kept, vomoID: row.VomoID}
	t.accepted, t.refused = kept.byOwner(b.settings.Fields)
	if len(b.settings.Fields) == 0 {
		return t.reject(ctx, rejection{code: codeOff, reason: "nothing may be written back for this customer: set it with rollcall config set --write-back"})
	}
	if t.vomoID == "" {
		users, err := b.Store.MappedByExternal(ctx, b.Customer.ID, row.ExternalID)
		if err != nil {
			return err
		}
		if len(users) > 1 {
			return t.review(ctx, reasonSharedRecord, nil)
		}
		if len(users) == 0 {
			return t.findOrCreate(ctx)
		}
		t.vomoID = users[0]
	}
	return t.update(ctx)
}

// drop ends a row whose values cannot be read any more.
func (b *batch) drop(ctx context.Context, row store.Writeback) error {
	b.Log.Warn("write-back dropped: its values were sealed with a key that was destroyed", zap.Int64("writeback", row.ID))
	return b.Store.InLane(ctx, b.Lease, func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.EndWriteback(ctx, row, store.WritebackEnd{State: store.WritebackDone, Outcome: "unreadable"})
		return err
	})
}

// update writes the values to a user that VOMO has.
func (t *task) update(ctx context.Context) error {
	detail, ended, err := t.read(ctx)
	if err != nil || ended {
		return err
	}
	if t.row.Decision == decisionKeepVomo {
		return t.keepVomo(ctx, detail)
	}
	email := textOf(detail.User.Email)
	if sent, given := t.values[fieldEmail]; given && !sameEmail(sent, email) && t.row.Decision != decisionRetryWithVomoEmail {
		return t.reviewEmail(ctx, email)
	}
	if email == "" {
		return t.reject(ctx, rejection{code: codeNoEmail, reason: "VOMO has no address of the user, and finds users by their address"})
	}
	if len(t.accepted) == 0 && len(t.refused) > 0 {
		return t.rejectRefused(ctx)
	}
	before := fieldsOf(detail)
	wanted := maps.Clone(before)
	maps.Copy(wanted, t.accepted)
	if maps.Equal(before, wanted) { // also after a crash between the write and its commit
		return t.finish(ctx, outcomeUnchanged, detail)
	}
	if missing := missingIn(wanted); len(missing) > 0 {
		return t.rejectIncomplete(ctx, missing)
	}
	return t.write(ctx, email, before, wanted)
}

// write posts the whole user, because VOMO requires all fields but the phone, and compares the answer with what was sent.
func (t *task) write(ctx context.Context, email string, before, wanted values) error {
	detail, ended, err := t.post(ctx, email, wanted)
	if err != nil || ended {
		return err
	}
	if detail.User == nil { // the answer did not say
		if detail, ended, err = t.read(ctx); err != nil || ended {
			return err
		}
	}
	if detail.User.ID != t.vomoID {
		return t.review(ctx, reasonAnotherUser, nil)
	}
	if ignored := ignoredFields(before, t.accepted, fieldsOf(detail)); len(ignored) > 0 {
		return t.review(ctx, reasonNotTakenOver, ignored)
	}
	return t.finish(ctx, outcomeWritten, detail)
}

// read reads the user. ended says that the row has become a letter, because VOMO does not return this user.
func (t *task) read(ctx context.Context) (detail vomo.Detail, ended bool, err error) {
	detail, err = t.Source.Client.Detail(ctx, t.vomoID)
	switch {
	case errors.Is(err, vomo.ErrNotFound):
		if err := t.Source.Answered(ctx); err != nil {
			return detail, false, err
		}
		return detail, true, t.reject(ctx, rejection{code: "source_not_found", reason: "VOMO has no such user, or hides it from this token"})
	case fault.CodeOf(err) == "vomo_id_invalid":
		return detail, true, t.reject(ctx, rejection{code: "source_record_invalid", reason: "that is no VOMO id"})
	case errors.Is(err, vomo.ErrPartialDetail):
		return detail, true, t.reject(ctx, rejection{code: "source_unreadable", reason: "VOMO does not show the user's fields"})
	case err != nil:
		return detail, false, t.faultOf(ctx, err, false)
	}
	if err := t.Source.Answered(ctx); err != nil {
		return detail, false, err
	}
	if detail.User == nil {
		return detail, true, t.reject(ctx, rejection{code: "source_record_invalid", reason: detail.Bad.Reason})
	}
	return detail, false, nil
}

// post sends the user. ended says that VOMO rejected it and the row has become a letter.
func (t *task) post(ctx context.Context, email string, wanted values) (detail vomo.Detail, ended bool, err error) {
	profile := vomo.Profile{
		Email: email, FirstName: wanted["firstName"], LastName: wanted["lastName"], Birthday: wanted["birthday"], Gender: wanted["gender"],
	}
	if phone := wanted["phone"]; phone != "" {
		profile.Phone = &phone
	}
	upserted, err := t.Source.Client.Upsert(ctx, profile)
	if rejected, ok := errors.AsType[*vomo.UpsertRejection](err); ok {
		return detail, true, t.reject(ctx, rejection{code: fault.CodeOf(err), reason: rejected.Error(), attempted: true})
	}
	if err != nil {
		return detail, false, t.faultOf(ctx, err, true)
	}
	t.hasWritten = true
	return upserted.Detail, false, t.Source.Answered(ctx)
}

// findOrCreate finds the user by the address, and adds a user that VOMO does not have if the customer's settings say so.
func (t *task) findOrCreate(ctx context.Context) error {
	email := t.values[fieldEmail]
	if email == "" {
		return t.reject(ctx, rejection{code: codeUserUnknown, reason: "no mirrored user has this external id, and the request has no address to find the user by"})
	}
	found, err := t.Source.Client.WithEmail(ctx, email)
	if err != nil {
		return t.faultOf(ctx, err, false)
	}
	if err := t.Source.Answered(ctx); err != nil {
		return err
	}
	switch {
	case len(found) > 1:
		return t.review(ctx, reasonSeveralUsers, nil)
	case len(found) == 1:
		return t.link(ctx, found[0].ID)
	case t.settings.Create || t.row.Decision == decisionCreate:
		return t.create(ctx, email)
	}
	return t.review(ctx, reasonNotInVomo, nil)
}

// link makes the user who has the address the row's user, unless the destination has that user as another record.
func (t *task) link(ctx context.Context, vomoID string) error {
	mapped, err := t.Store.ExternalIDOf(ctx, t.Customer.ID, vomoID)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	t.vomoID = vomoID
	isOther := err == nil && mapped != t.row.ExternalID && mapped != "vomo-"+vomoID // which a destination without ids of its own has
	if isOther && t.row.Decision != decisionLink {
		return t.review(ctx, reasonLinkedElsewhere, nil)
	}
	return t.update(ctx)
}

// create adds a user with all values of the messages: VOMO has no value that they could replace.
func (t *task) create(ctx context.Context, email string) error {
	if missing := missingIn(t.values); len(missing) > 0 {
		return t.rejectIncomplete(ctx, missing)
	}
	detail, ended, err := t.post(ctx, email, t.values)
	if err != nil || ended {
		return err
	}
	if detail.User == nil {
		found, err := t.Source.Client.WithEmail(ctx, email)
		if err != nil {
			return t.faultOf(ctx, err, false)
		}
		if len(found) != 1 {
			return t.review(ctx, reasonNotTakenOver, nil)
		}
		t.vomoID = found[0].ID
		if detail, ended, err = t.read(ctx); err != nil || ended {
			return err
		}
	}
	t.vomoID, t.refused = detail.User.ID, nil
	sent := maps.Clone(t.values)
	delete(sent, fieldEmail)
	if ignored := ignoredFields(nil, sent, fieldsOf(detail)); len(ignored) > 0 {
		return t.review(ctx, reasonNotTakenOver, ignored)
	}
	return t.finish(ctx, outcomeCreated, detail)
}

// keepVomo writes VOMO's record to the destination again, because an operator decided that VOMO is right.
func (t *task) keepVomo(ctx context.Context, detail vomo.Detail) error {
	now, err := t.Store.Now(ctx)
	if err != nil {
		return err
	}
	options := mirror.ApplyOptions{PresumeOutage: true, RewriteBefore: now, RewriteOwed: t.rewriteOwed}
	_, err = t.Lane.Apply(ctx, detail.Page(), options, func(ctx context.Context, tx *store.Tx, _ mirror.Outcome) error {
		return t.end(ctx, tx, outcomeKeptVomo)
	})
	if err == nil {
		t.count(outcomeKeptVomo)
	}
	return err
}

// fieldsOf returns the fields of a user that can be written back, by their names in messages.
func fieldsOf(detail vomo.Detail) values {
	return values{
		"firstName": textOf(detail.User.FirstName), "lastName": textOf(detail.User.LastName), "phone": textOf(detail.User.Phone),
		"birthday": textOf(detail.Birthday), "gender": textOf(detail.Gender),
	}
}

// missingIn returns the fields that VOMO requires and that are empty.
func missingIn(wanted values) []string {
	return slices.DeleteFunc([]string{"firstName", "lastName", "birthday", "gender"}, func(field string) bool { return wanted[field] != "" })
}

// ignoredFields returns the sent fields that VOMO did not take over: it returned the value from before. A value that VOMO
// only formats is taken over.
func ignoredFields(before, sent, returned values) []string {
	var ignored []string
	for _, field := range slices.Sorted(maps.Keys(sent)) {
		if !sameValue(field, returned[field], sent[field]) && sameValue(field, returned[field], before[field]) {
			ignored = append(ignored, field)
		}
	}
	return ignored
}

// sameValue compares what people mean by a value: VOMO may format phone numbers.
func sameValue(field, one, other string) bool {
	if field == "phone" {
		return digitsOf(one) == digitsOf(other)
	}
	return strings.TrimSpace(one) == strings.TrimSpace(other)
}

func digitsOf(text string) string {
	return strings.Map(func(c rune) rune {
		if c >= '0' && c <= '9' || c == '+' {
			return c
		}
		return -1
	}, text)
}

func sameEmail(one, other string) bool {
	return strings.EqualFold(strings.TrimSpace(one), strings.TrimSpace(other))
}

func textOf(text *string) string {
	if text == nil {
		return ""
	}
	return *text
}
