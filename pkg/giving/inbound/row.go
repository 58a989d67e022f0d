package inbound

import (
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/virtuous"
)

// row is the row of a gift or of a contact.
type row interface {
	version() version
	setVersion(v version) // the row has to be written then
	sealed() []byte
	setSealed(sealed []byte)
}

// form is a version of a gift or contact as a record has it.
type form struct {
	entity     string
	modifiedAt time.Time
	fields     []virtuous.Field
	open, seal func(content []byte) ([]byte, error)
}

// applyForm decides whether a form counts, and stores its version and its fields in the row if so. counts is false if the row keeps the
// fields that it has.
func (w *work) applyForm(to row, record Record, of form) (change Change, changed []string, counts bool, err error) {
	if lacks := record.Lacks(); len(lacks) > 0 { // it would empty fields
		w.Logger.Warn("record not applied: it lacks fields", zap.String("customer", w.Customer), zap.String("entity", of.entity), zap.Int64("id", record.ID()),
			zap.Strings("fields", lacks))
		return Skipped, nil, false, nil
	}
	encoded, hash, err := canonical(w.hash, of.entity, of.fields)
	if err != nil {
		return Skipped, nil, false, err
	}
	incoming := version{modified: of.modifiedAt, hash: hash, seen: record.At}
	if record.Read {
		incoming.read = record.At
	} else {
		incoming.webhook = record.At
	}
	stored := to.version()
	switch judge(stored, incoming) {
	case skip:
		if noted := stored.noting(incoming); !noted.sameTimes(stored) {
			to.setVersion(noted)
		}
		return Skipped, nil, false, nil
	case same:
		if merged := merged(stored, incoming); !merged.sameTimes(stored) {
			to.setVersion(merged)
		}
		return Unchanged, nil, false, nil
	case replace:
	}
	change = Created
	if stored.hash != nil {
		if changed, err = changesOf(to.sealed(), of); err != nil {
			return Skipped, nil, false, err
		}
		if change = Updated; len(changed) == 0 {
			change = Unchanged
		}
	}
	sealed, err := of.seal(encoded)
	if err != nil {
		return Skipped, nil, false, fmt.Errorf("seal a %s: %w", of.entity, err)
	}
	to.setVersion(incoming.noting(stored))
	to.setSealed(sealed)
	return change, changed, true, nil
}

// changesOf returns the names of the fields in which a form differs from the sealed one.
func changesOf(sealed []byte, of form) ([]string, error) {
	before, err := of.open(sealed)
	if err != nil {
		return nil, fmt.Errorf("open a %s: %w", of.entity, err)
	}
	was, err := Fields(before)
	if err != nil {
		return nil, err
	}
	return changedFields(was, of.fields), nil
}
