package report

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// maxLettersBytes keeps an answer below the 256 KiB of NATS, also if codes and histories are long.
const maxLettersBytes = 200 << 10

// Letters answers rollcall.api.letters.ls. The question must be valid; store.ErrNotFound for a customer that was not
// onboarded and has no letter.
func Letters(ctx context.Context, from *store.Store, question operatorapi.LettersQuestion) (operatorapi.LettersReply, error) {
	reply := operatorapi.LettersReply{Letters: []operatorapi.Letter{}}
	letters, asOf, more, err := LettersBatch(ctx, from, question, operatorapi.MaxLetters, false)
	reply.AsOf = asOf
	if err != nil {
		return reply, err
	}
	if question.Codes {
		if reply.Codes, err = letterCodes(ctx, from, question.LettersFilter, asOf); err != nil {
			return reply, err
		}
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

// letterCodes counts what a filter selects by error code.
func letterCodes(ctx context.Context, from *store.Store, filter operatorapi.LettersFilter, asOf time.Time) ([]operatorapi.LettersOfCode, error) {
	counted, err := from.LettersByCode(ctx, storeFilter(filter, asOf))
	codes := make([]operatorapi.LettersOfCode, 0, len(counted))
	for _, one := range counted {
		codes = append(codes, operatorapi.LettersOfCode{
			ErrorCode: one.ErrorCode, ErrorClass: one.ErrorClass, Letters: one.Letters, Review: one.Review, OldestAt: one.Oldest,
		})
	}
	return codes, err
}

// ExportLetters answers rollcall.api.letters.export, as Letters.
func ExportLetters(ctx context.Context, from *store.Store, question operatorapi.LettersQuestion) (operatorapi.LettersExport, error) {
	reply := operatorapi.LettersExport{Letters: []operatorapi.LetterDetail{}}
	letters, asOf, more, err := LettersBatch(ctx, from, question, operatorapi.MaxLetters, true)
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

// LettersBatch reads the letters of one page, and the time to which their ages refer. more says that other letters
// follow.
func LettersBatch(ctx context.Context, from *store.Store, question operatorapi.LettersQuestion, most int32, withHistory bool,
) (letters []store.ListedLetter, asOf time.Time, more bool, err error) {
	if asOf, err = AsOf(ctx, from, question.LettersFilter); err != nil {
		return nil, asOf, false, err
	}
	limit := pageLimit(question.Limit, most)
	after, _ := operatorapi.ParseLetterPosition(question.Before)
	letters, err = from.Letters(ctx, storeFilter(question.LettersFilter, asOf), after, limit+1, withHistory) // one more tells whether this page is the last
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

// AsOf returns the time to which a filter's ages refer.
func AsOf(ctx context.Context, from *store.Store, filter operatorapi.LettersFilter) (time.Time, error) {
	if filter.AsOf != nil {
		return filter.AsOf.UTC(), nil
	}
	now, err := from.Now(ctx)
	return now.UTC(), err
}

// KnownCustomer returns store.ErrNotFound for a customer that was not onboarded and has no letter. So a mistyped name
// differs from a customer without letters.
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

// storeFilter returns the filter for the store. The operator's filter must be valid.
func storeFilter(f operatorapi.LettersFilter, now time.Time) store.LetterFilter {
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

// fit adds the size of an entry to the size of an answer, and reports whether it fits. The first entry always fits.
func fit(size *int, shown any, nth int) (bool, error) {
	encoded, err := json.Marshal(shown)
	if err != nil {
		return false, fmt.Errorf("encode letter: %w", err)
	}
	*size += len(encoded) + 1
	return nth == 0 || *size <= maxLettersBytes, nil
}

// nextAfter returns the Next of a page that ends with the nth of these letters, or nil on the last page.
func nextAfter(letters []store.ListedLetter, shown int, more bool) *string {
	if shown == 0 || !more {
		return nil
	}
	next := operatorapi.LetterPosition(letters[shown-1].LetterPosition)
	return &next
}

func letterOf(letter store.ListedLetter, asOf time.Time) operatorapi.Letter {
	return operatorapi.Letter{
		ID: letter.ID.String(), CustomerID: letter.Customer, Kind: letter.Kind, RecordID: letter.RecordID, ErrorCode: letter.ErrorCode,
		ErrorClass: letter.ErrorClass, State: string(letter.State), Attempts: letter.Attempts, FirstFailedAt: letter.FirstFailedAt,
		LastFailedAt: letter.LastFailedAt, AgeSeconds: max(int64(asOf.Sub(letter.FirstFailedAt)/time.Second), 0),
		NextAttemptAt: letter.NextAttemptAt, AskedAt: letter.AskedAt, SettledAt: letter.SettledAt, SettledHow: letter.SettledHow,
		Job: letter.Job,
	}
}
