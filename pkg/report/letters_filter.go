package report

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/deadletter"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// LettersFilter says which dead letters are meant; what is left out holds for all of them.
type LettersFilter struct {
	CustomerID       string     `json:"customerId,omitempty"` // or _unknown
	Kind             string     `json:"kind,omitempty"`       // user, message
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

// Bounds of a filter.
const (
	MaxLetterText = 200
	MaxLetterIDs  = 100
	MaxNote       = 500
	longestAge    = 100 * 365 * 24 * 60 * 60
)

// Names of a filter's fields, as the errors of a question have them.
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

// Validate gives what is wrong with each field, and what it takes.
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
			"takes a customer id, 1 to 63 characters of a-z, 0-9, _ and -, or "+rollcallv1.UnknownCustomer+" for letters of nobody")
	}
	oneOf(FieldKind, f.Kind, deadletter.KindUser, deadletter.KindMessage)
	oneOf(FieldState, f.State, string(store.LettersOpen), string(store.LettersWaiting), string(store.LettersReview),
		string(store.LettersSettled), string(store.LettersAll))
	oneOf(FieldErrorClass, f.ErrorClass, deadletter.ClassRetryable, deadletter.ClassPermanent)
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

// ValidLetterCustomer says whether letters may stand under this id.
func ValidLetterCustomer(id string) bool {
	return rollcallv1.ValidCustomerID(id) || id == rollcallv1.UnknownCustomer
}

// Narrows says whether the filter leaves anything out besides other customers' letters.
func (f *LettersFilter) Narrows() bool {
	return f.Kind != "" || f.State != "" || f.ErrorCode != "" || f.ErrorClass != "" || f.OlderThanSeconds != 0 ||
		f.NewerThanSeconds != 0 || f.RecordID != "" || f.Text != ""
}

// of gives what the store looks for. The filter must be valid.
func (f *LettersFilter) of(now time.Time) store.LetterFilter {
	filter := store.LetterFilter{
		Customer: f.CustomerID, Kind: f.Kind, States: store.LetterStates(f.State), ErrorCode: f.ErrorCode, ErrorClass: f.ErrorClass,
		RecordID: f.RecordID, Holds: f.Text, Until: now.Add(-time.Duration(f.OlderThanSeconds) * time.Second),
	}
	if f.NewerThanSeconds > 0 {
		filter.Since = now.Add(-time.Duration(f.NewerThanSeconds) * time.Second)
	}
	for _, id := range f.IDs {
		if ids, ok := store.LetterIDsLike(id); ok {
			filter.IDs = append(filter.IDs, ids)
		}
	}
	return filter
}

// place writes where a page ended; placeOf reads it.
func place(at store.LetterPosition) string {
	return strconv.FormatInt(at.FirstFailedAt.UnixMicro(), 10) + "." + at.ID.String()
}

func placeOf(text string) (*store.LetterPosition, bool) {
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
