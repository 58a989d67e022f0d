package mirror

import (
	"context"
	"encoding/hex"
	"fmt"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// publishChanges adds the messages of a page's changes to the outbox: an event for each change, and an alert for each
// changed address, which is also stored. The mappings change in the same transaction, so each change is published once,
// however often the page is read. now is the database's time when the page was compared: another question would be a round trip
// while the next page waits for the commit.
func (l *Lane) publishChanges(ctx context.Context, tx *store.Tx, changes []userChange, now time.Time) error {
	var messages []store.Message
	var emailChanges []string // VOMO ids
	for _, change := range changes {
		emailChanged := change.entry.mapped && !change.entry.blank && change.entry.previousEmail != change.entry.email
		if !l.Events && !emailChanged {
			continue
		}
		if emailChanged {
			message, err := l.emailAlert(change, now)
			if err != nil {
				return err
			}
			messages, emailChanges = append(messages, message), append(emailChanges, change.entry.vomoID)
		}
		if !l.Events {
			continue
		}
		message, err := l.userEvent(change, now)
		if err != nil {
			return err
		}
		messages = append(messages, message)
	}
	if err := l.storeEmailAlerts(ctx, tx, emailChanges, now); err != nil {
		return err
	}
	return tx.Publish(ctx, messages...)
}

// storeEmailAlerts stores which users' addresses changed, for readers that come after the messages have expired. It
// stores ids and no addresses.
func (l *Lane) storeEmailAlerts(ctx context.Context, tx *store.Tx, vomoIDs []string, now time.Time) error {
	alert := event.AlertFor(l.Customer, event.AlertEmailChanged)
	return tx.NoteUserAlerts(ctx, store.UserAlerts{
		Customer: l.Customer, Type: alert.Type, Severity: alert.Severity, TraceID: l.TraceID, At: now, VomoIDs: vomoIDs,
	})
}

func (l *Lane) emailAlert(change userChange, now time.Time) (store.Message, error) {
	alert := event.AlertFor(l.Customer, event.AlertEmailChanged)
	alert.VomoID, alert.TraceID = change.entry.vomoID, l.TraceID
	return alert.Message("email-"+l.changeID(change.entry), false, now)
}

func (l *Lane) userEvent(change userChange, now time.Time) (store.Message, error) {
	name := event.UserCreated
	data := &rollcallv1.UserChanged{
		CustomerId: l.Customer, VomoUserId: change.entry.vomoID, ExternalUserId: change.externalID,
		SourceUpdatedAt: timestamppb.New(change.entry.version.UpdatedAt), Job: l.Job,
	}
	if change.entry.mapped {
		name = event.UserUpdated
		data.ChangedFields = l.sentChanges(change.entry)
	}
	if l.IncludeUser {
		var err error
		if data.User, err = asStruct(change.entry.record); err != nil {
			return store.Message{}, err
		}
	}
	return event.Fact{
		Name: name, Customer: l.Customer, ID: name + "-" + l.changeID(change.entry), At: now, TraceID: l.TraceID, Data: data,
	}.Message()
}

// changeID identifies a change by the version and by the job that wrote it, since a user may return to an earlier version.
func (l *Lane) changeID(entry candidate) string {
	return l.Customer + "-" + strconv.FormatInt(l.JobID, 10) + "-" + entry.vomoID + "-" + hex.EncodeToString(entry.version.Hash[:8])
}

func asStruct(record destination.Record) (*structpb.Struct, error) {
	encoded, err := record.JSON()
	if err != nil {
		return nil, err
	}
	user := &structpb.Struct{}
	if err := protojson.Unmarshal(encoded, user); err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return user, nil
}
