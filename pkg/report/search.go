package report

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/record"
	"rollcall.dev/pkg/store"
)

// Kinds of hits, besides operatorapi.TraceUser, TraceGift and TraceContact.
const (
	HitCustomer = "customer"
	HitLetter   = "letter"
)

// mostHits is how many hits of one kind a search returns.
const mostHits = 20

// Hit is something that a search found.
type Hit struct{ Kind, Customer, ID string }

// Hits are what a search found.
type Hits struct {
	Hits   []Hit
	IsMore bool // there are others of a kind: a customer or a longer text narrows it down
}

// traceID matches a trace's id, alone or in a traceparent.
var traceID = regexp.MustCompile(`^(?:00-)?([0-9a-f]{32})(?:-[0-9a-f]{16}-[0-9a-f]{2})?$`)

// IsEmail reports whether a search for this text is one by email address, and so a look at personal data.
func IsEmail(text string) bool { return strings.Contains(text, "@") }

// SearchEmail finds users of VOMO by the email address that they had when they were written last. customer is "" for any. The caller notes who asked.
func SearchEmail(ctx context.Context, from store.Conn, customer, email string) (Hits, error) {
	var found Hits
	address := strings.ToLower(strings.TrimSpace(email))
	if !record.ValidID(address) { // Postgres accepts no byte of zero
		return found, nil
	}
	users, err := from.SearchEmail(ctx, customer, address, mostHits+1)
	for _, user := range users {
		found.add(mostHits, Hit{operatorapi.TraceUser, user.Customer, user.VomoID})
	}
	return found, err
}

// Search finds letters by the beginning of their id, users of VOMO by their id, donations, gifts and contacts by their id at the platform or at
// Virtuous, and donations by their trace. customer is "" for any.
func Search(ctx context.Context, from store.Conn, customer, text string) (found Hits, err error) {
	if !record.ValidID(text) {
		return Hits{}, nil
	}
	for _, look := range []func(context.Context, store.Conn, string, string) ([]Hit, error){searchLetters, searchUsers, searchGiving, searchTraces} {
		hits, err := look(ctx, from, customer, text)
		if err != nil {
			return Hits{}, err
		}
		most := len(found.Hits) + mostHits
		for _, hit := range hits {
			found.add(most, hit)
		}
	}
	return found, nil
}

func (h *Hits) add(most int, hit Hit) {
	switch {
	case slices.Contains(h.Hits, hit):
	case len(h.Hits) == most:
		h.IsMore = true
	default:
		h.Hits = append(h.Hits, hit)
	}
}

func searchLetters(ctx context.Context, from store.Conn, customer, text string) (hits []Hit, err error) {
	ids, is := store.LetterIDsLike(text)
	if !is {
		return nil, nil
	}
	named, err := from.LettersNamed(ctx, customer, []store.LetterIDs{ids}, mostHits+1)
	if err != nil {
		return nil, err
	}
	letters, err := from.LettersByID(ctx, named[0])
	for _, letter := range letters {
		hits = append(hits, Hit{HitLetter, letter.Customer, letter.ID.String()})
	}
	return hits, err
}

func searchUsers(ctx context.Context, from store.Conn, customer, text string) (hits []Hit, err error) {
	customers, err := from.SearchUsers(ctx, customer, text, mostHits+1)
	for _, of := range customers {
		hits = append(hits, Hit{operatorapi.TraceUser, of, text})
	}
	return hits, err
}

func searchGiving(ctx context.Context, from store.Conn, customer, text string) ([]Hit, error) {
	id, _ := record.VirtuousID(text)
	return recordHits(from.SearchGiving(ctx, customer, text, id, mostHits+1))
}

func searchTraces(ctx context.Context, from store.Conn, customer, text string) ([]Hit, error) {
	trace := traceID.FindStringSubmatch(strings.ToLower(text))
	if trace == nil {
		return nil, nil
	}
	return recordHits(from.SearchTrace(ctx, customer, trace[1], mostHits+1))
}

func recordHits(records []store.FoundRecord, err error) (hits []Hit, _ error) {
	for _, one := range records {
		hits = append(hits, Hit{one.Kind, one.Customer, one.ID})
	}
	return hits, err
}
