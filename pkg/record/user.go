package record

import (
	"cmp"
	"context"
	"strconv"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// User is what is stored of a user of VOMO.
type User struct {
	Customer store.Customer
	ID       string

	Mapping   *store.TracedUser
	Audit     []store.AuditLine
	Letters   []store.TracedLetter
	Deletions []store.TracedDeletion
	Writeback *store.TracedWriteback
	Acts      []store.Act
}

// UserOf reads what is stored of a user; store.ErrNotFound if the customer is not known.
func UserOf(ctx context.Context, from store.Conn, customer, id string) (*User, error) {
	known, err := from.Customer(ctx, customer)
	if err != nil {
		return nil, err
	}
	user := &User{Customer: known, ID: id}
	if user.Mapping, err = optional(from.UserTraced(ctx, customer, id)); err != nil {
		return nil, err
	}
	if user.Audit, err = from.AuditOf(ctx, customer, id); err != nil {
		return nil, err
	}
	if user.Letters, err = from.LettersOf(ctx, customer, id, "user", "user_delete", "writeback"); err != nil {
		return nil, err
	}
	if user.Deletions, err = from.DeletionsOf(ctx, customer, id); err != nil {
		return nil, err
	}
	if user.Writeback, err = optional(from.WritebackOf(ctx, customer, id)); err != nil {
		return nil, err
	}
	user.Acts, err = from.ActsOf(ctx, customer, id, []string{"vomoId", "recordId"}, []string{"users", "letters", "deletions", "review"})
	return user, err
}

// openLetter returns the newest open letter of a kind.
func (u *User) openLetter(kind string) *store.TracedLetter {
	for _, letter := range u.Letters {
		if letter.State != store.LettersSettled && letter.Kind == kind {
			return &letter
		}
	}
	return nil
}

// lastDeletion returns the user in the newest search in which it was missing; nil if it was written after that.
func (u *User) lastDeletion() *store.TracedDeletion {
	if len(u.Deletions) == 0 {
		return nil
	}
	last := &u.Deletions[0]
	if u.Mapping != nil && u.Mapping.SyncedAt.After(last.NotedAt) {
		return nil
	}
	return last
}

func (u *User) judge() judged {
	switch letter := u.openLetter("user"); {
	case u.Customer.OffboardedAt != nil:
		return judged{cause: Offboarded}
	case letter != nil && letter.State == store.LettersWaiting:
		return judged{UserLetterWaits, cmp.Or(letter.Reason, letter.ErrorCode)}
	case letter != nil:
		return judged{UserLetter, cmp.Or(letter.Reason, letter.ErrorCode)}
	}
	if missing, is := u.judgeMissing(); is {
		return missing
	}
	return u.judgeMapping()
}

// judgeMissing is for a user that a search for deleted users did not see.
func (u *User) judgeMissing() (missing judged, is bool) {
	last := u.lastDeletion()
	switch {
	case last == nil, last.State == "found", last.State == "restored":
		return judged{}, false
	case last.RunState == "held":
		return judged{cause: UserDeletionHeld}, true
	case last.State == "failed":
		return judged{UserDeletionFailed, cmp.Or(last.Code, "it gave no reason")}, true
	case last.State == "deleted":
		return judged{cause: UserDeleted}, true
	}
	return judged{UserMissing, last.State}, true
}

// judgeMapping is for a user without an open letter, and that no search missed.
func (u *User) judgeMapping() judged {
	switch {
	case u.Mapping == nil && !u.Customer.Active():
		return judged{cause: UserInactive}
	case u.Mapping == nil && u.Customer.BackfillCompletedAt == nil:
		return judged{cause: UserBackfill}
	case u.Mapping == nil:
		return judged{cause: UserUnknown}
	case !u.Customer.Active():
		return judged{cause: UserInactive}
	case u.Writeback != nil && (u.Writeback.State == store.WritebackReview || u.Writeback.State == store.WritebackLetter):
		return judged{UserWritebackStuck, u.Writeback.State}
	case u.Writeback != nil && u.Writeback.State == store.WritebackWaiting:
		return judged{cause: UserWriteback}
	}
	return judged{UserMirrored, moment(u.Mapping.Updated)}
}

// Trace returns the user's trace.
func (u *User) Trace() operatorapi.Trace {
	trace := operatorapi.Trace{}
	line := &timeline{}
	if u.Mapping != nil {
		trace.FoundAs, trace.PlatformRecordID, trace.State = new(operatorapi.FoundAsUser), unless("", u.Mapping.ExternalID), new("mirrored")
		line.add(u.Mapping.SyncedAt, hopStored, "the destination got the version of "+moment(u.Mapping.Updated))
	}
	for _, done := range u.Audit {
		text := done.Operation
		if !done.Succeeded {
			text += ": not done"
		}
		if done.SourceUpdatedAt != nil {
			text += ", version of " + moment(*done.SourceUpdatedAt)
		}
		line.add(done.At, hopAudit, text).Code = unless("", done.ErrorCode)
	}
	line.addDeletions(u.Deletions, "VOMO", "the destination marked it as deleted")
	if u.Writeback != nil {
		line.add(u.Writeback.RequestedAt, hopWriteback, "values for VOMO came").Code = unless("", u.Writeback.Outcome)
		line.add(u.Writeback.UpdatedAt, hopWriteback, "the values for VOMO are in the state "+u.Writeback.State)
	}
	line.addLetters(u.Letters)
	line.addActs(u.Acts)
	trace.Timeline = line.sorted()
	found := u.judge()
	values := valuesOf(Customer{Customer: u.Customer}, operatorapi.TraceUser, u.ID, found)
	if letter := u.openLetter("user"); letter != nil {
		values["letter"] = letter.ID.String()
	}
	if missing := u.lastDeletion(); missing != nil {
		values["run"] = strconv.FormatInt(missing.Run, 10)
	}
	trace.Cause = Explain(found.cause, values)
	return trace
}

// TraceUser answers rollcall.api.users.show; store.ErrNotFound if the customer is not known.
func TraceUser(ctx context.Context, from store.Conn, question operatorapi.TraceQuestion) (operatorapi.TraceReply, error) {
	reply := operatorapi.TraceReply{CustomerID: question.CustomerID, Kind: operatorapi.TraceUser, RecordID: question.RecordID, Traces: []operatorapi.Trace{}}
	user, err := UserOf(ctx, from, question.CustomerID, question.RecordID)
	if err != nil {
		return reply, err
	}
	reply.Traces = append(reply.Traces, user.Trace())
	return reply, nil
}
