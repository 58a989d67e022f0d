package gifts

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// States of a transaction.
const (
	Held        = "held"         // until the organisation's midnight
	Bundled     = "bundled"      // in an import that waits for its run
	NeedsUpdate = "needs_update" // set aside by the run: a person must act
	Imported    = "imported"     // it has become a gift
	Discarded   = "discarded"    // a person threw it away
)

// ErrExists and ErrContactExists are returned for a transaction that was accepted before.
var (
	ErrExists        = errors.New("Gift Transaction already exists.")    //nolint:revive,staticcheck // Virtuous' own text
	ErrContactExists = errors.New("Contact Transaction already exists.") //nolint:revive,staticcheck // assumed: nothing public says it
)

// EntityContact is the entity of a transaction that becomes a contact, or updates one. That of a gift's is "".
const EntityContact = "contact"

// Transaction is a transaction of a gift or contact that was accepted.
type Transaction struct {
	Entity     string          `json:"entity,omitempty"`
	Source     string          `json:"source"`
	ID         string          `json:"id"`
	State      string          `json:"state"`
	Reason     string          `json:"reason,omitempty"` // of needs_update: match_needed or project
	ReceivedAt time.Time       `json:"receivedAt"`
	ImportID   int64           `json:"importId,omitempty"`
	GiftID     int64           `json:"giftId,omitempty"`
	ContactID  int64           `json:"contactId,omitempty"` // of a contact's, once it is imported
	Repeats    int             `json:"repeats"`             // requests that were refused because it exists
	Gift       Gift            `json:"gift"`                // what it is to become
	Person     Person          `json:"person"`
	Through    *Person         `json:"through,omitempty"` // passthroughContact
	Body       json.RawMessage `json:"body"`              // as it was sent
}

// Import is a bundle of transactions of one source.
type Import struct {
	ID        int64      `json:"id"`
	Name      string     `json:"name"`
	Source    string     `json:"source"`
	CreatedAt time.Time  `json:"createdAt"`
	DueAt     *time.Time `json:"dueAt"` // of an import that runs by itself
	RanAt     *time.Time `json:"ranAt"`
	Size      int        `json:"transactions"`
}

// Submission is a transaction before it is accepted.
type Submission struct {
	Source, ID string
	Gift       Gift
	Shares     []ProjectShare
	Person     Person
	Through    *Person
	Body       json.RawMessage
}

// Problem is one reason to refuse a transaction.
type Problem struct {
	Field, Code, Text string
}

// Refusal is the error of a transaction that is refused. It is no ErrExists.
type Refusal struct{ Problems []Problem }

// Error names the fields.
func (r *Refusal) Error() string {
	fields := make([]string, 0, len(r.Problems))
	for _, p := range r.Problems {
		fields = append(fields, p.Field)
	}
	return fmt.Sprintf("the fields %v are not valid", fields)
}

// Submit accepts transactions, all or none of them: the first error refuses all. Errors: ErrExists, *Refusal.
func (o *Organisation) Submit(now time.Time, submissions ...Submission) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now)
	made := make([]*Transaction, 0, len(submissions))
	seen := make(map[reference]bool, len(submissions))
	for _, submission := range submissions {
		key := referenceTo(submission.Source, submission.ID)
		if o.exists(key) || seen[key] {
			return ErrExists
		}
		seen[key] = true
		transaction, err := o.accepted(now, submission)
		if err != nil {
			return err
		}
		made = append(made, transaction)
	}
	for _, transaction := range made {
		o.hold(transaction)
	}
	return nil
}

// hold keeps an accepted transaction until midnight.
func (o *Organisation) hold(transaction *Transaction) {
	if before := o.transactionOf[transaction.key()]; before != nil { // a discarded one
		o.s.Transactions = slices.DeleteFunc(o.s.Transactions, func(t *Transaction) bool { return t == before })
	}
	o.s.Transactions = append(o.s.Transactions, transaction)
	o.transactionOf[transaction.key()] = transaction
	o.held++
	o.changes++
}

// key is the reference by which a repetition is recognised. A gift and a contact may have the same.
func (t *Transaction) key() reference {
	if t.Entity == EntityContact {
		return contactKey(t.Source, t.ID)
	}
	return referenceTo(t.Source, t.ID)
}

func contactKey(source, id string) reference { return referenceTo("contact\x00"+source, id) }

// SubmitContact accepts the transaction of a contact. Errors: ErrContactExists.
func (o *Organisation) SubmitContact(now time.Time, source string, person Person, body json.RawMessage) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.advance(now)
	if o.exists(contactKey(source, person.ReferenceID)) {
		return ErrContactExists
	}
	o.hold(&Transaction{
		Entity: EntityContact, Source: source, ID: person.ReferenceID, State: Held, ReceivedAt: now.UTC(), Person: person, Body: slices.Clone(body),
	})
	return nil
}

// HeldContact returns a copy of a contact's transaction, or nil.
func (o *Organisation) HeldContact(source, id string) *Transaction {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return copied(o.transactionOf[contactKey(source, id)])
}

// exists reports whether a transaction is a repetition, and counts it.
func (o *Organisation) exists(key reference) bool {
	before := o.transactionOf[key]
	if before == nil {
		return o.giftOf[key] != 0 // a gift that was entered by hand with this reference
	}
	if before.State == Discarded && o.s.Settings.ResubmitDiscarded {
		return false
	}
	before.Repeats++
	o.changes++
	return true
}

// accepted returns the transaction of a submission, or a *Refusal.
func (o *Organisation) accepted(now time.Time, s Submission) (*Transaction, error) {
	made := &Transaction{
		Source: s.Source, ID: s.ID, State: Held, ReceivedAt: now.UTC(), Gift: s.Gift, Person: s.Person, Through: s.Through,
		Body: slices.Clone(s.Body),
	}
	total := Amount(0)
	for i, share := range s.Shares {
		total += share.Amount
		project := o.project(share.Code)
		switch {
		case project != nil && project.Active:
			made.Gift.Designations = append(made.Gift.Designations, Designation{ProjectID: project.ID, Amount: share.Amount})
		case o.s.Settings.UnknownProject == "refuse":
			field := fmt.Sprintf("transaction.designations[%d].code", i)
			return nil, &Refusal{Problems: []Problem{{Field: field, Code: "NOT_FOUND", Text: "Project is not valid."}}}
		default:
			made.Reason = "project"
		}
	}
	if len(s.Shares) > 0 && total != s.Gift.Amount {
		return nil, &Refusal{Problems: []Problem{{
			Field: "transaction.designations", Code: "INVALID_SUM", Text: "Designations must add up to the gift amount.",
		}}}
	}
	made.Gift.Source, made.Gift.TransactionID = s.Source, s.ID
	made.Gift.Currency = cmp.Or(s.Gift.Currency, o.s.Settings.Currency)
	return made, nil
}

// Transaction returns a copy of a transaction, or nil.
func (o *Organisation) Transaction(source, id string) *Transaction {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return copied(o.transactionOf[referenceTo(source, id)])
}

func copied(t *Transaction) *Transaction {
	if t == nil {
		return nil
	}
	one := *t
	return &one
}

// Transactions returns copies of all transactions, in the order of arrival.
func (o *Organisation) Transactions() []*Transaction {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return copies(o.s.Transactions)
}

// Imports returns copies of all imports.
func (o *Organisation) Imports() []*Import {
	o.mu.RLock()
	defer o.mu.RUnlock()
	return copies(o.s.Imports)
}
