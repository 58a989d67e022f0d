package mirror

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
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

// digestSize is what is kept of each field's digest: enough that a change goes unnamed once in four thousand million.
const digestSize = 4

// fieldNames are the fields whose digests are kept, in their order, by the names that the destination gets.
func fieldNames() []string {
	return []string{"email", "first_name", "last_name", "phone", "user_status", "membership_role", "vomo_created_at"}
}

// digestsForm is the first byte of a user's digests. Digests of another form are not known: the first form had no such
// byte and did not mix in the user, so that a copy of the table showed which users share a phone number.
const digestsForm = 2

// digestsOf returns short keyed digests of a record's fields, so that an event can name the fields that changed and no
// table keeps what they held. The user is mixed in: equal values of two users have different digests.
func digestsOf(hashKey []byte, record destination.Record) []byte {
	created := ""
	if at := record.CustomFields.VomoCreatedAt; at != nil {
		created = at.Format(time.RFC3339Nano)
	}
	mac := hmac.New(sha256.New, hashKey)
	digests := make([]byte, 0, digestsSize())
	digests = append(digests, digestsForm)
	var sum [sha256.Size]byte
	for i, value := range []*string{
		record.Email, record.FirstName, record.LastName, record.Phone, record.CustomFields.UserStatus, record.CustomFields.MembershipRole, &created,
	} {
		mac.Reset()
		mac.Write([]byte(record.ExternalID))
		mac.Write([]byte{0, byte(i)}) // equal values of two fields must not look equal
		if value != nil {
			mac.Write([]byte{1})
			mac.Write([]byte(*value))
		}
		digests = append(digests, mac.Sum(sum[:0])[:digestSize]...)
	}
	return digests
}

func digestsSize() int { return 1 + digestSize*len(fieldNames()) }

// changedFields names the fields in which two versions differ. It names none if one of the two has digests of another form.
func changedFields(before, now []byte) []string {
	names := fieldNames()
	if len(before) != digestsSize() || len(now) != digestsSize() || before[0] != digestsForm || now[0] != digestsForm {
		return nil
	}
	before, now = before[1:], now[1:]
	var changed []string
	for i, name := range names {
		if !bytes.Equal(before[i*digestSize:(i+1)*digestSize], now[i*digestSize:(i+1)*digestSize]) {
			changed = append(changed, name)
		}
	}
	return changed
}

// change is a version that was written and that the mapping did not have.
type change struct {
	entry      candidate
	externalID string
}

// tell owes the bus what the page's changes are: an event for each, and an alert for each address that changed, which is
// kept too. The mapping moves in the same transaction, so that each is told once, however often the page is read.
func (l *Lane) tell(ctx context.Context, tx *store.Tx, changed []change) error {
	var messages []store.Message
	var now time.Time
	var emails []string
	for _, one := range changed {
		emailChanged := one.entry.mapped && one.entry.emailBefore != one.entry.email
		if !l.Events && !emailChanged {
			continue
		}
		if now.IsZero() {
			var err error
			if now, err = tx.Now(ctx); err != nil {
				return err
			}
		}
		if emailChanged {
			message, err := l.emailChanged(one, now)
			if err != nil {
				return err
			}
			messages, emails = append(messages, message), append(emails, one.entry.vomoID)
		}
		if !l.Events {
			continue
		}
		message, err := l.userChanged(one, now)
		if err != nil {
			return err
		}
		messages = append(messages, message)
	}
	if err := l.noteEmails(ctx, tx, emails, now); err != nil {
		return err
	}
	return tx.Publish(ctx, messages...)
}

// noteEmails keeps whose address changed, for those who come when the messages are gone: ids, and no address.
func (l *Lane) noteEmails(ctx context.Context, tx *store.Tx, vomoIDs []string, now time.Time) error {
	alert := event.AlertFor(l.Customer, event.AlertEmailChanged)
	return tx.NoteUserAlerts(ctx, store.UserAlerts{
		Customer: l.Customer, Type: alert.Type, Severity: alert.Severity, TraceID: l.TraceID, At: now, VomoIDs: vomoIDs,
	})
}

func (l *Lane) emailChanged(one change, now time.Time) (store.Message, error) {
	alert := event.AlertFor(l.Customer, event.AlertEmailChanged)
	alert.VomoID, alert.TraceID = one.entry.vomoID, l.TraceID
	return alert.Message("email-"+l.versionID(one.entry), false, now)
}

func (l *Lane) userChanged(one change, now time.Time) (store.Message, error) {
	name := event.UserCreated
	data := &rollcallv1.UserChanged{
		CustomerId: l.Customer, VomoUserId: one.entry.vomoID, ExternalUserId: one.externalID,
		SourceUpdatedAt: timestamppb.New(one.entry.version.UpdatedAt), Job: l.Job,
	}
	if one.entry.mapped {
		name = event.UserUpdated
		data.ChangedFields = changedFields(one.entry.digestsBefore, one.entry.digests)
	}
	if l.IncludeUser {
		var err error
		if data.User, err = asStruct(one.entry.record); err != nil {
			return store.Message{}, err
		}
	}
	return event.Fact{
		Name: name, Customer: l.Customer, ID: name + "-" + l.versionID(one.entry), At: now, TraceID: l.TraceID, Data: data,
	}.Message()
}

// versionID names a change: the version, and the job that brought it, since a user may come back to a version.
func (l *Lane) versionID(entry candidate) string {
	return l.Customer + "-" + strconv.FormatInt(l.JobID, 10) + "-" + entry.vomoID + "-" + hex.EncodeToString(entry.version.Hash[:8])
}

func asStruct(record destination.Record) (*structpb.Struct, error) {
	encoded, err := json.Marshal(record)
	if err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	user := &structpb.Struct{}
	if err := protojson.Unmarshal(encoded, user); err != nil {
		return nil, fmt.Errorf("encode record: %w", err)
	}
	return user, nil
}
