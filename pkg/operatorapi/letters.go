package operatorapi

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Letter is one line of `rollcall dlq ls`.
type Letter struct {
	ID            string     `json:"id"`
	CustomerID    string     `json:"customerId"`
	Kind          string     `json:"kind"`     // user: a record that was refused; user_delete: a deletion that was; message: one that could not be handled
	RecordID      *string    `json:"recordId"` // record letters
	ErrorCode     string     `json:"errorCode"`
	ErrorClass    string     `json:"errorClass"` // retryable, permanent
	State         string     `json:"state"`      // waiting: tried again by itself; review: waits for an operator; settled
	Attempts      int        `json:"attempts"`
	FirstFailedAt time.Time  `json:"firstFailedAt"`
	LastFailedAt  time.Time  `json:"lastFailedAt"`
	AgeSeconds    int64      `json:"ageSeconds"`
	NextAttemptAt *time.Time `json:"nextAttemptAt"` // waiting letters
	AskedAt       *time.Time `json:"askedAt"`       // an operator asked for the next attempt
	SettledAt     *time.Time `json:"settledAt"`
	SettledHow    *string    `json:"settledHow"` // retried, superseded, discarded, …
	Job           string     `json:"job"`        // that met the fault first
}

// LettersFilter selects letters. A field that is left out selects all of them.
type LettersFilter struct {
	CustomerID       string     `json:"customerId,omitempty"` // or _unknown
	Kind             string     `json:"kind,omitempty"`       // user, user_delete, message
	State            string     `json:"state,omitempty"`      // open (the default), waiting, review, settled, all
	ErrorCode        string     `json:"errorCode,omitempty"`
	ErrorClass       string     `json:"errorClass,omitempty"`       // retryable, permanent
	OlderThanSeconds int64      `json:"olderThanSeconds,omitempty"` // first failed so long ago, or longer
	NewerThanSeconds int64      `json:"newerThanSeconds,omitempty"` // first failed later than so long ago
	RecordID         string     `json:"recordId,omitempty"`
	Text             string     `json:"text,omitempty"` // in the error code, record id, original subject or job, in whatever case
	IDs              []string   `json:"ids,omitempty"`  // ids of letters, or their first 8 characters or more
	AsOf             *time.Time `json:"asOf,omitempty"` // from when ages count; letters that failed first later are left out
}

// Limits of questions and of pages.
const (
	MaxLetters    = 200 // of one page
	MaxLetterText = 200
	MaxLetterIDs  = 100
	MaxNote       = 500
	longestAge    = 100 * 365 * 24 * 60 * 60
)

// Names of the fields, for the errors of a question.
const (
	FieldCustomerID = "customerId"
	FieldKind       = "kind"
	FieldState      = "state"
	FieldErrorCode  = "errorCode"
	FieldErrorClass = "errorClass"
	FieldOlderThan  = "olderThanSeconds"
	FieldNewerThan  = "newerThanSeconds"
	FieldRecordID   = "recordId"
	FieldText       = "text"
	FieldIDs        = "ids"
	FieldBefore     = "before"
	FieldNote       = "note"
)

// Validate returns the errors of each field, which say what the field accepts.
func (f *LettersFilter) Validate() map[string][]string {
	errs := map[string][]string{}
	oneOf := func(field, value string, words ...string) {
		for _, word := range words {
			if value == "" || value == word {
				return
			}
		}
		errs[field] = append(errs[field], "takes "+strings.Join(words, ", "))
	}
	if !ValidLetterCustomer(f.CustomerID) && f.CustomerID != "" {
		errs[FieldCustomerID] = append(errs[FieldCustomerID],
			"takes a customer id, 1 to 63 characters of a-z, 0-9, _ and -, or "+rollcallv1.UnknownCustomer+" for letters without a customer")
	}
	oneOf(FieldKind, f.Kind, "user", "user_delete", "message", "writeback", "donation")
	oneOf(FieldState, f.State, string(store.LettersOpen), string(store.LettersWaiting), string(store.LettersReview),
		string(store.LettersSettled), string(store.LettersAll))
	oneOf(FieldErrorClass, f.ErrorClass, "retryable", "permanent")
	for _, text := range [][2]string{{FieldErrorCode, f.ErrorCode}, {FieldRecordID, f.RecordID}, {FieldText, f.Text}} {
		if len(text[1]) > MaxLetterText || strings.ContainsRune(text[1], 0) {
			errs[text[0]] = append(errs[text[0]], fmt.Sprintf("takes a text of at most %d bytes", MaxLetterText))
		}
	}
	for field, age := range map[string]int64{FieldOlderThan: f.OlderThanSeconds, FieldNewerThan: f.NewerThanSeconds} {
		if age < 0 || age > longestAge {
			errs[field] = append(errs[field], "takes an age of up to 100 years")
		}
	}
	if f.NewerThanSeconds > 0 && f.OlderThanSeconds >= f.NewerThanSeconds {
		errs[FieldNewerThan] = append(errs[FieldNewerThan], "takes an age above the one that letters have to be older than: none can be both")
	}
	if len(f.IDs) > MaxLetterIDs {
		errs[FieldIDs] = append(errs[FieldIDs], fmt.Sprintf("takes at most %d ids at once", MaxLetterIDs))
	}
	for _, id := range f.IDs {
		if _, ok := store.LetterIDsLike(id); !ok {
			errs[FieldIDs] = append(errs[FieldIDs], fmt.Sprintf("takes a letter's id, or at least its first %d characters; %.40q is none",
				store.ShortestLetterID, id))
		}
	}
	return errs
}

// ValidLetterCustomer reports whether a letter may have this customer id.
func ValidLetterCustomer(id string) bool {
	return rollcallv1.ValidCustomerID(id) || id == rollcallv1.UnknownCustomer
}

// Narrows reports whether the filter has a condition other than the customer.
func (f *LettersFilter) Narrows() bool {
	return f.Kind != "" || f.State != "" || f.ErrorCode != "" || f.ErrorClass != "" || f.OlderThanSeconds != 0 ||
		f.NewerThanSeconds != 0 || f.RecordID != "" || f.Text != ""
}

// LettersQuestion asks for letters, newest first.
type LettersQuestion struct {
	LettersFilter

	Before string `json:"before,omitempty"` // letters behind this place: the Next of the page before
	Limit  int32  `json:"limit,omitempty"`  // at most 200, default 50
	Codes  bool   `json:"codes,omitempty"`  // count what matches by error code, too
}

// Validate returns the errors of each field.
func (q *LettersQuestion) Validate() map[string][]string {
	errs := q.LettersFilter.Validate()
	if _, ok := ParseLetterPosition(q.Before); !ok {
		errs[FieldBefore] = append(errs[FieldBefore], "takes the next of the page before")
	}
	return errs
}

// LettersReply is one page; Next is null on the last. Each page of one list is requested with the AsOf of the first page.
type LettersReply struct {
	Letters []Letter        `json:"letters"`
	Codes   []LettersOfCode `json:"codes"` // of all that match, the most frequent first; null if not asked for
	AsOf    time.Time       `json:"asOf"`
	Next    *string         `json:"next"`
}

// LettersOfCode counts the letters with one error code.
type LettersOfCode struct {
	ErrorCode  string    `json:"errorCode"`
	ErrorClass string    `json:"errorClass"`
	Letters    int64     `json:"letters"`
	Review     int64     `json:"review"` // how many of them wait for an operator
	OldestAt   time.Time `json:"oldestAt"`
}

// LettersExport is one page of `rollcall dlq export`.
type LettersExport struct {
	Letters []LetterDetail `json:"letters"`
	AsOf    time.Time      `json:"asOf"`
	Next    *string        `json:"next"`
}

// LetterPosition writes the end of a page as its Next.
func LetterPosition(at store.LetterPosition) string {
	return strconv.FormatInt(at.FirstFailedAt.UnixMicro(), 10) + "." + at.ID.String()
}

// ParseLetterPosition reads a Next. It returns nil for the first page, and false for a text that is no position.
func ParseLetterPosition(text string) (*store.LetterPosition, bool) {
	if text == "" {
		return nil, true
	}
	micros, id, found := strings.Cut(text, ".")
	at, err := strconv.ParseInt(micros, 10, 64)
	if !found || err != nil {
		return nil, false
	}
	parsed, err := uuid.Parse(id)
	return &store.LetterPosition{FirstFailedAt: time.UnixMicro(at).UTC(), ID: parsed}, err == nil
}
