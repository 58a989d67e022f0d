package givingapi

import (
	"context"
	"errors"
	"time"

	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/record"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/telemetry"
	"rollcall.dev/pkg/vault"
)

const (
	// JobRecord is the job under which the lookups of traces are counted.
	JobRecord = "record_trace"
	// lookupWithin is how long the lookups of one answer may take: a wait for the customer's budget must not keep the rest from being shown.
	lookupWithin = 12 * time.Second
)

// showRecord answers what became of a gift or a contact. It changes nothing.
func (a *API) showRecord(ctx context.Context, question operatorapi.TraceQuestion) (operatorapi.TraceReply, error) {
	return a.traceRecord(ctx, question, nil)
}

// fixRecord answers what became of a gift or a contact after it did what the cause calls for, if that is safe.
func (a *API) fixRecord(ctx context.Context, question operatorapi.TraceQuestion) (operatorapi.TraceReply, error) {
	return a.traceRecord(ctx, question, &inbound.Pass{
		Customer: question.CustomerID, Job: JobRecord, RecoveryPath: recoveredByOperator, TraceID: telemetry.TraceParent(ctx),
	})
}

func (a *API) traceRecord(ctx context.Context, question operatorapi.TraceQuestion, fixing *inbound.Pass) (operatorapi.TraceReply, error) {
	reply := operatorapi.TraceReply{CustomerID: question.CustomerID, Kind: question.Kind, RecordID: question.RecordID, Traces: []operatorapi.Trace{}}
	if !record.ValidID(question.RecordID) {
		return reply, &service.FieldsError{Errors: map[string][]string{"recordId": {record.IDRule}}}
	}
	customer, err := record.CustomerOf(ctx, a.Store.Conn, question.CustomerID)
	if err != nil {
		return reply, err
	}
	t := &tracing{API: a, customer: customer, id: question.RecordID, fixing: fixing}
	switch question.Kind {
	case operatorapi.TraceGift:
		reply.Traces, err = t.gifts(ctx)
	case operatorapi.TraceContact:
		reply.Traces, err = t.contacts(ctx)
	default:
		err = &service.FieldsError{Errors: map[string][]string{"kind": {"must be gift or contact"}}}
	}
	return reply, err
}

// tracing is one answer.
type tracing struct {
	*API

	customer record.Customer
	id       string
	fixing   *inbound.Pass // nil: nothing is changed
	client   Looker
	notAsked string        // why Virtuous is not asked
	keys     *inbound.Keys // nil: they are not opened yet
}

// source returns the source under which Virtuous knows the customer's records now.
func (t *tracing) source() string {
	if t.customer.Giving != nil && t.customer.Giving.TransactionSource != "" {
		return t.customer.Giving.TransactionSource
	}
	return t.Source
}

// open opens Virtuous, unless it may not be asked.
func (t *tracing) open(ctx context.Context) {
	if t.notAsked = t.customer.NotAsked(); t.notAsked != "" {
		return
	}
	client, err := t.Open(ctx, *t.customer.Giving, JobRecord)
	if err != nil {
		t.notAsked = "Virtuous cannot be asked now: " + err.Error()
		return
	}
	t.client = client
}

func (t *tracing) gifts(ctx context.Context) ([]operatorapi.Trace, error) {
	found, err := record.Gifts(ctx, t.Store.Conn, t.customer, t.id)
	if err != nil {
		return nil, err
	}
	t.open(ctx)
	traces := make([]operatorapi.Trace, 0, len(found))
	for _, gift := range found {
		trace, err := t.gift(ctx, gift)
		if err != nil {
			return nil, err
		}
		traces = append(traces, trace)
	}
	return traces, nil
}

// gift traces one donation or gift, and fixes it if it is asked to and its cause can be fixed.
func (t *tracing) gift(ctx context.Context, gift *record.Gift) (operatorapi.Trace, error) {
	asked, read, err := t.lookUpGift(ctx, gift)
	if err != nil {
		return operatorapi.Trace{}, err
	}
	if gift.Delivered, err = t.delivered(ctx, t.isGift(gift, max(gift.GiftID(), asked.ID))); err != nil {
		return operatorapi.Trace{}, err
	}
	trace := gift.Trace(asked)
	if t.fixing == nil || !trace.Cause.Fixable || read == nil {
		return trace, nil
	}
	fixed, err := t.fix(ctx, *read)
	if err != nil {
		return trace, err
	}
	again, err := record.Gifts(ctx, t.Store.Conn, t.customer, t.id)
	if err != nil {
		return trace, err
	}
	for _, one := range again {
		if one.GiftID() == gift.GiftID() || one.GiftID() == asked.ID || len(again) == 1 {
			asked.Changed = nil
			trace = one.Trace(asked)
		}
	}
	trace.Fixed = fixed
	return trace, nil
}

func (t *tracing) contacts(ctx context.Context) ([]operatorapi.Trace, error) {
	found, err := record.Contacts(ctx, t.Store.Conn, t.customer, t.source(), t.id)
	if err != nil {
		return nil, err
	}
	t.open(ctx)
	traces := make([]operatorapi.Trace, 0, len(found))
	for _, contact := range found {
		trace, err := t.contact(ctx, contact)
		if err != nil {
			return nil, err
		}
		traces = append(traces, trace)
	}
	return traces, nil
}

// contact is gift for contacts.
func (t *tracing) contact(ctx context.Context, contact *record.Contact) (operatorapi.Trace, error) {
	asked, read, err := t.lookUpContact(ctx, contact)
	if err != nil {
		return operatorapi.Trace{}, err
	}
	if contact.Delivered, err = t.delivered(ctx, isContact(contact, max(contact.VirtuousID(), asked.ID))); err != nil {
		return operatorapi.Trace{}, err
	}
	trace := contact.Trace(asked)
	if t.fixing == nil || !trace.Cause.Fixable || read == nil {
		return trace, nil
	}
	fixed, err := t.fix(ctx, *read)
	if err != nil {
		return trace, err
	}
	again, err := record.Contacts(ctx, t.Store.Conn, t.customer, t.source(), t.id)
	if err != nil {
		return trace, err
	}
	for _, one := range again {
		if one.Row != nil && one.Row.ID == asked.ID {
			asked.Changed = nil
			trace = one.Trace(asked)
		}
	}
	trace.Fixed = fixed
	return trace, nil
}

// Categories and resolutions with which a fix is logged: those of the reconciler.
const (
	categoryStuck       = "stuck"
	categoryMissed      = "missed_webhook"
	resolutionRecovered = "auto_recovered"
	resolutionApplied   = "applied_inbound"
)

// fix applies a record that was read, and returns what that did.
func (t *tracing) fix(ctx context.Context, read inbound.Record) (*string, error) {
	done, err := t.apply(ctx, read)
	switch {
	case errors.Is(err, vault.ErrKeyGone):
		return nil, &service.ConflictError{Text: "the customer's data key is gone, so nothing can be stored for it: onboard the customer again"}
	case errors.Is(err, vault.ErrUnavailable), errors.Is(err, inbound.ErrUnordered):
		return nil, &service.BusyError{Text: "nothing was fixed, because the key service does not answer or the record was just read by another job: ask again"}
	}
	return &done, err
}

// apply applies a record, and logs what that changed, in one transaction.
func (t *tracing) apply(ctx context.Context, read inbound.Record) (done string, err error) {
	keys, err := t.openKeys(ctx)
	if err != nil {
		return "", err
	}
	err = t.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		outcomes, err := t.Applier.Apply(ctx, tx, keys, *t.fixing, []inbound.Record{read})
		if err != nil {
			return err
		}
		outcome := outcomes[0]
		if done = fixedWords(outcome); !outcome.IsApplied() {
			return nil
		}
		category, entries := t.logged(outcome)
		return tx.LogReconciliation(ctx, t.customer.ID, category, 0, t.fixing.TraceID, entries...)
	})
	return done, err
}

// logged returns what the log has of a record that was applied: as the reconciler logs a donation or contact that a lookup confirmed, or a record whose
// webhook was missed.
func (t *tracing) logged(outcome inbound.Outcome) (category string, entries []store.ReconciliationEntry) {
	details := map[string]any{"by": "operator"}
	if len(outcome.ChangedFields) > 0 {
		details["changed"] = outcome.ChangedFields
	}
	confirmed := func(entity, platformID string) {
		entries = append(entries, store.ReconciliationEntry{
			PlatformID: platformID, VirtuousID: outcome.ID, Entity: entity, Resolution: resolutionRecovered, Details: details,
		})
	}
	if outcome.Confirmed != "" {
		confirmed("donation", outcome.Confirmed)
	}
	for _, reference := range outcome.ConfirmedContacts {
		confirmed("contact", reference)
	}
	if len(entries) > 0 {
		return categoryStuck, entries
	}
	return categoryMissed, []store.ReconciliationEntry{{
		VirtuousID: outcome.ID, Entity: outcome.Entity, Resolution: resolutionApplied, Details: details,
	}}
}

// fixedWords says what became of a record that was applied.
func fixedWords(outcome inbound.Outcome) string {
	switch {
	case outcome.Confirmed != "":
		return "the donation was confirmed by its gift"
	case len(outcome.ConfirmedContacts) > 0:
		return "the platform's contact was confirmed by Virtuous' contact"
	case outcome.Change == inbound.Deleted:
		return "the deletion was applied"
	case outcome.IsApplied():
		return "Virtuous' " + outcome.Entity + " was applied"
	}
	return "nothing: what Virtuous has changes nothing here"
}

// openKeys opens the customer's keys once.
func (t *tracing) openKeys(ctx context.Context) (*inbound.Keys, error) {
	if t.keys != nil {
		return t.keys, nil
	}
	keys, err := t.Applier.Keys(ctx, t.customer.ID)
	if err == nil {
		t.keys = keys
	}
	return keys, err
}
