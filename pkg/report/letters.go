package report

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Letter is one line of `rollcall dlq ls`.
type Letter struct {
	ID            string     `json:"id"`
	CustomerID    string     `json:"customerId"`
	Kind          string     `json:"kind"`     // user: a record that was refused; message: one that could not be handled
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

// LettersQuestion asks for letters, newest first.
type LettersQuestion struct {
	LettersFilter

	Before string `json:"before,omitempty"` // letters behind this place: the Next of the page before
	Limit  int32  `json:"limit,omitempty"`  // at most 200, default 50
}

// LettersReply is one page; Next is null on the last. The pages of one list are asked for with the AsOf of the first.
type LettersReply struct {
	Letters []Letter  `json:"letters"`
	AsOf    time.Time `json:"asOf"`
	Next    *string   `json:"next"`
}

// LettersExport is one page of `rollcall dlq export`.
type LettersExport struct {
	Letters []LetterDetail `json:"letters"`
	AsOf    time.Time      `json:"asOf"`
	Next    *string        `json:"next"`
}

const (
	// MaxLetters is how many letters one answer lists.
	MaxLetters = 200
	// An answer stays below 256 KiB however long its codes and histories are.
	maxLettersBytes = 200 << 10
)

// Letters answers rollcall.api.letters.ls. The question must be valid; store.ErrNotFound for a customer that was not
// onboarded and has no letter.
func Letters(ctx context.Context, from *store.Store, question LettersQuestion) (LettersReply, error) {
	reply := LettersReply{Letters: []Letter{}}
	letters, asOf, more, err := LettersBatch(ctx, from, question, MaxLetters, false)
	reply.AsOf = asOf
	if err != nil {
		return reply, err
	}
	size := 0
	for i, letter := range letters {
		shown := letterOf(letter, asOf)
		if fits, err := fit(&size, shown, i); err != nil || !fits {
			reply.Next = nextAfter(letters, i, true)
			return reply, err
		}
		reply.Letters = append(reply.Letters, shown)
	}
	reply.Next = nextAfter(letters, len(letters), more)
	return reply, nil
}

// ExportLetters answers rollcall.api.letters.export, as Letters.
func ExportLetters(ctx context.Context, from *store.Store, question LettersQuestion) (LettersExport, error) {
	reply := LettersExport{Letters: []LetterDetail{}}
	letters, asOf, more, err := LettersBatch(ctx, from, question, MaxLetters, true)
	reply.AsOf = asOf
	if err != nil {
		return reply, err
	}
	size := 0
	for i, letter := range letters {
		shown, err := detailOf(letter, asOf)
		if err != nil {
			return reply, err
		}
		if fits, err := fit(&size, shown, i); err != nil || !fits {
			reply.Next = nextAfter(letters, i, true)
			return reply, err
		}
		reply.Letters = append(reply.Letters, shown)
	}
	reply.Next = nextAfter(letters, len(letters), more)
	return reply, nil
}

// LettersBatch reads the letters of one page, and from when their ages count; more says that there are others behind
// them.
func LettersBatch(ctx context.Context, from *store.Store, question LettersQuestion, most int32, withHistory bool,
) (letters []store.ListedLetter, asOf time.Time, more bool, err error) {
	if asOf, err = AsOf(ctx, from, question.LettersFilter); err != nil {
		return nil, asOf, false, err
	}
	limit := pageLimit(question.Limit, most)
	after, _ := placeOf(question.Before)
	letters, err = from.Letters(ctx, question.of(asOf), after, limit+1, withHistory) // one more tells whether this page is the last
	if err != nil {
		return nil, asOf, false, err
	}
	if len(letters) == 0 && after == nil {
		return nil, asOf, false, KnownCustomer(ctx, from, question.CustomerID)
	}
	if len(letters) > int(limit) {
		return letters[:limit], asOf, true, nil
	}
	return letters, asOf, false, nil
}

// AsOf is from when a filter's ages count.
func AsOf(ctx context.Context, from *store.Store, filter LettersFilter) (time.Time, error) {
	if filter.AsOf != nil {
		return filter.AsOf.UTC(), nil
	}
	now, err := from.Now(ctx)
	return now.UTC(), err
}

// KnownCustomer is store.ErrNotFound for a customer that was not onboarded and has no letter, so that a mistyped
// name is distinguished from one without letters.
func KnownCustomer(ctx context.Context, from *store.Store, customer string) error {
	if customer == "" {
		return nil
	}
	known, err := from.LettersKnowCustomer(ctx, customer)
	if err == nil && !known && customer != rollcallv1.UnknownCustomer {
		err = fmt.Errorf("customer: %w", store.ErrNotFound)
	}
	return err
}

// Validate gives what is wrong with each field.
func (q *LettersQuestion) Validate() map[string][]string {
	errs := q.LettersFilter.Validate()
	if _, ok := placeOf(q.Before); !ok {
		errs[FieldBefore] = append(errs[FieldBefore], "takes the next of the page before")
	}
	return errs
}

// fit adds the size of one more to that of an answer; the first always fits.
func fit(size *int, shown any, nth int) (bool, error) {
	encoded, err := json.Marshal(shown)
	if err != nil {
		return false, fmt.Errorf("encode letter: %w", err)
	}
	*size += len(encoded) + 1
	return nth == 0 || *size <= maxLettersBytes, nil
}

// nextAfter is the Next of a page that ends with the nth of these letters, null where nothing is behind them.
func nextAfter(letters []store.ListedLetter, shown int, more bool) *string {
	if shown == 0 || !more {
		return nil
	}
	next := place(letters[shown-1].LetterPosition)
	return &next
}

func letterOf(letter store.ListedLetter, asOf time.Time) Letter {
	return Letter{
		ID: letter.ID.String(), CustomerID: letter.Customer, Kind: letter.Kind, RecordID: letter.RecordID, ErrorCode: letter.ErrorCode,
		ErrorClass: letter.ErrorClass, State: string(letter.State), Attempts: letter.Attempts, FirstFailedAt: letter.FirstFailedAt,
		LastFailedAt: letter.LastFailedAt, AgeSeconds: max(int64(asOf.Sub(letter.FirstFailedAt)/time.Second), 0),
		NextAttemptAt: letter.NextAttemptAt, AskedAt: letter.AskedAt, SettledAt: letter.SettledAt, SettledHow: letter.SettledHow,
		Job: letter.Job,
	}
}
