package vomo

import (
	"bytes"
	"encoding/json"
	"errors"
	"strconv"
	"strings"

	"rollcall.dev/pkg/fault"
)

const (
	// defaultPerPage is VOMO's page size; a caller cannot choose it.
	defaultPerPage = 15
	// maxEntries is far above every page size. Without it 16 MiB of "0,0,0" would be eight million bad entries,
	// each many times its size in memory.
	maxEntries = 5_000
)

// answer is a page with what the scan alone needs.
type answer struct {
	page    Page
	keys    []string // what tells each entry from the others, in VOMO's order
	perPage int
}

// lastPage is the number of the last page as far as meta.total tells, 0 where it tells nothing.
func (a answer) lastPage() int { return pagesOf(a.page.Total, a.perPage) }

func pagesOf(total, size int) int {
	if total <= 0 || size <= 0 {
		return 0
	}
	return (total-1)/size + 1
}

type wirePage struct {
	Data  wireEntries     `json:"data"`
	Links json.RawMessage `json:"links"`
	Meta  json.RawMessage `json:"meta"`
}

// wireEntries are the entries of a page, at most maxEntries.
type wireEntries []json.RawMessage

var errTooManyEntries = errors.New("too many entries")

// UnmarshalJSON reads a list entry by entry, so that a list that is too long is noticed before it is all there.
func (w *wireEntries) UnmarshalJSON(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	start, err := decoder.Token()
	switch {
	case err != nil:
		return err //nolint:wrapcheck // decodePage gives words of its own
	case start == nil:
		return nil
	case start != json.Delim('['):
		return errors.New("no list")
	}
	*w = make([]json.RawMessage, 0, defaultPerPage)
	for decoder.More() {
		if len(*w) == maxEntries {
			return errTooManyEntries
		}
		var entry json.RawMessage
		if err := decoder.Decode(&entry); err != nil {
			return err //nolint:wrapcheck // as above
		}
		*w = append(*w, entry)
	}
	return nil
}

type wireLinks struct {
	Next json.RawMessage `json:"next"`
}

type wireMeta struct {
	CurrentPage json.RawMessage `json:"current_page"`
	PerPage     json.RawMessage `json:"per_page"`
	Total       json.RawMessage `json:"total"`
}

// decodePage reads the body of page number. Its errors are faults vomo_broken_page and vomo_page_mismatch;
// whatever is wrong with a single entry is in the page's Bad.
func decodePage(body []byte, number int) (answer, error) {
	var wire wirePage
	if err := json.Unmarshal(body, &wire); errors.Is(err, errTooManyEntries) {
		return answer{}, broken("it has more than 5000 entries")
	} else if err != nil {
		return answer{}, broken("it is no JSON object with a list of data")
	}
	if wire.Data == nil {
		return answer{}, broken("it has no list of data")
	}
	var links wireLinks
	var meta wireMeta
	if !decodeBlock(wire.Links, &links) || !decodeBlock(wire.Meta, &meta) {
		return answer{}, broken("its links or meta are no object")
	}
	if current, ok := wholeNumber(meta.CurrentPage); ok && current != number {
		return answer{}, fault.Unknown("vomo_page_mismatch", ErrPageMismatch)
	}

	a := answer{page: Page{Number: number, Total: -1}, perPage: defaultPerPage}
	if total, ok := wholeNumber(meta.Total); ok && total >= 0 {
		a.page.Total = total
	}
	// Without per_page the size of this page stands in when we ask whether there is more: a last page that is
	// taken for too short costs one request, a page size that is taken for too large would lose people.
	size := len(wire.Data)
	if perPage, ok := wholeNumber(meta.PerPage); ok && perPage > 0 {
		a.perPage, size = perPage, perPage
	}
	linked, known, ok := nextLink(links.Next)
	if !ok {
		return answer{}, broken("its next link is no text")
	}
	a.page.More = len(wire.Data) > 0 && (linked || a.saysMore(len(wire.Data), size, known))

	a.page.Users = make([]User, 0, len(wire.Data))
	a.keys = make([]string, 0, len(wire.Data))
	for _, raw := range wire.Data {
		user, reason := decodeUser(raw)
		key := entryKey(user.ID, raw)
		a.keys = append(a.keys, key)
		if reason != "" {
			a.page.Bad = append(a.page.Bad, BadUser{ID: user.ID, Reason: reason, Key: key})
			continue
		}
		a.page.Users = append(a.page.Users, user)
	}
	return a, nil
}

// saysMore tells whether the page has another one behind it although no link says so; known is false where no
// link could have said so. Link and total may each be wrong: a full page is the last one only if neither speaks
// of another. Asking for one too many costs a request, for one too few costs people.
func (a answer) saysMore(entries, size int, known bool) bool {
	full, beyond := entries >= a.perPage, a.page.Number < pagesOf(a.page.Total, size)
	if known {
		return full && beyond
	}
	return full || beyond || a.page.Total < 0
}

// decodeBlock reads links or meta into block. Absent, null and the empty list, which is what PHP makes of an
// empty map, all leave block empty.
func decodeBlock(raw json.RawMessage, block any) bool {
	if len(raw) > 0 && raw[0] == '[' {
		var list []json.RawMessage
		return json.Unmarshal(raw, &list) == nil && len(list) == 0
	}
	return len(raw) == 0 || json.Unmarshal(raw, block) == nil
}

// nextLink says whether links.next promises another page; known is false where VOMO sent no next at all, ok is
// false where it is neither text nor null. Where the link points to does not matter: it is never followed.
func nextLink(raw json.RawMessage) (more, known, ok bool) {
	if len(raw) == 0 {
		return false, false, true
	}
	var next *string
	if json.Unmarshal(raw, &next) != nil {
		return false, false, false
	}
	return next != nil && strings.TrimSpace(*next) != "" && !strings.EqualFold(strings.TrimSpace(*next), "null"), true, true
}

// wholeNumber reads a number that may stand in quotes; false where there is none that can be read.
func wholeNumber(raw json.RawMessage) (int, bool) {
	n, err := strconv.Atoi(strings.Trim(string(raw), `" `))
	return n, err == nil
}
