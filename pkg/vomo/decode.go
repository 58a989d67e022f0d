package vomo

import (
	"strconv"
	"strings"

	"rollcall.dev/pkg/fault"
)

const (
	// defaultPerPage is VOMO's page size; a client cannot choose it.
	defaultPerPage = 15
	// maxEntries is far above every page size. Without it, 16 MiB of "0,0,0" would become eight million bad entries,
	// each many times its size in memory.
	maxEntries = 5_000
)

// answer is a page with what only the scan needs.
type answer struct {
	page    Page
	keys    []string // what identifies each entry, in VOMO's order
	perPage int

	birthday, gender *string // of the one user
	created          bool    // an upsert added the user

	participations *UserParticipations // only if they were asked for
}

// lastPage returns the number of the last page according to meta.total, 0 if that is missing.
func (a answer) lastPage() int { return pagesOf(a.page.Total, a.perPage) }

func pagesOf(total, size int) int {
	if total <= 0 || size <= 0 {
		return 0
	}
	return (total-1)/size + 1
}

// decodePage decodes the body of page number. Its errors are faults vomo_broken_page and vomo_page_mismatch; what is
// wrong with a single entry is in the page's Bad.
func decodePage(body []byte, number int) (answer, error) { //nolint:cyclop // one case a name
	const noPage = "it is no JSON object with a list of data"
	body, ok := document(body)
	if !ok || !isObject(body) {
		return answer{}, broken(noPage)
	}
	var data, links, meta []byte
	for name, value := range members(body) {
		switch string(name) {
		case "data":
			data = value
		case "links":
			links = value
		case "meta":
			meta = value
		}
	}
	if isNone(data) {
		return answer{}, broken("it has no list of data")
	}
	entries, ok := entriesOf(data)
	if !ok {
		return answer{}, broken(noPage)
	}
	if len(entries) > maxEntries {
		return answer{}, broken("it has more than 5000 entries")
	}
	if !isBlock(links) || !isBlock(meta) {
		return answer{}, broken("its links or meta are no object")
	}
	linked, known, ok := nextLink(member(links, "next"))
	if !ok {
		return answer{}, broken("its next link is no text")
	}

	a := answer{page: Page{Number: number, Total: -1}, perPage: defaultPerPage}
	if total, ok := wholeNumber(member(meta, "total")); ok && total >= 0 {
		a.page.Total = total
	}
	// Without per_page, use the number of this page's entries to decide whether there are more: if that treats a full
	// page as incomplete, it costs one request; assuming too large a page size would lose users.
	size := len(entries)
	if perPage, ok := wholeNumber(member(meta, "per_page")); ok && perPage > 0 {
		a.perPage, size = perPage, perPage
	}
	current, ok := wholeNumber(member(meta, "current_page"))
	if ok && current != number {
		// The answer is the last page: the requested page no longer exists. The answer must say itself that it is the
		// last, because a source that ignores the requested number always shows the same page.
		saysSo := known && !linked || a.page.Total >= 0
		if current < 1 || current > number || linked || !saysSo || a.lastPage() > current {
			return answer{}, fault.Unknown("vomo_page_mismatch", ErrPageMismatch)
		}
		return pastTheEnd(number, a.page.Total), nil
	}
	a.page.More = len(entries) > 0 && (linked || a.hasMore(len(entries), size, known))
	readEntries(&a, entries)
	return a, nil
}

// pastTheEnd returns the answer for a page after the last one.
func pastTheEnd(number, total int) answer {
	return answer{page: Page{Number: number, Total: total}, perPage: defaultPerPage}
}

// entriesOf returns the entries of a page, or one more than allowed if there are too many.
func entriesOf(data []byte) (entries [][]byte, ok bool) {
	switch {
	case isObject(data):
		return inOrderOfKeys(data, maxEntries)
	case !isList(data):
		return nil, false
	}
	entries = make([][]byte, 0, defaultPerPage)
	for entry := range elements(data) {
		if entries = append(entries, entry); len(entries) > maxEntries {
			break
		}
	}
	return entries, true
}

// readEntries decodes the entries into a.
func readEntries(a *answer, entries [][]byte) {
	a.page.Users = make([]User, 0, len(entries))
	a.keys = make([]string, 0, len(entries))
	for _, raw := range entries {
		user, reason := decodeUser(raw)
		key := entryKey(user.ID, raw)
		a.keys = append(a.keys, key)
		if reason != "" {
			a.page.Bad = append(a.page.Bad, BadUser{ID: user.ID, Reason: reason, Key: key})
			continue
		}
		a.page.Users = append(a.page.Users, user)
	}
}

const (
	// manyAlike is the number of entries from which a common defect is considered the source's fault: a few entries
	// may each have the defect themselves.
	manyAlike = 10
	// fewAlike is the same for an answer that shows a whole organisation: no other user's mirroring is delayed by it.
	fewAlike = 2
)

// unreadableAlike returns the defect that all entries of a page share, which is then the source's fault, otherwise
// "". A page in a window of creation times never counts: users that were imported together are together there, so the
// defect may be theirs, and the page would be retried for ever.
func (a answer) unreadableAlike(query Query) string {
	if !query.CreatedAfter.IsZero() || !query.CreatedBefore.IsZero() || len(a.page.Users) > 0 {
		return ""
	}
	least := manyAlike
	if query == (Query{}) && a.page.Number == 1 && !a.page.More {
		least = fewAlike
	}
	if len(a.page.Bad) < least {
		return ""
	}
	defect := a.page.Bad[0].Reason
	for _, bad := range a.page.Bad {
		if bad.Reason != defect {
			return ""
		}
	}
	return defect
}

// saysMore reports whether there is another page although no link says so; known is false if the source sends no
// links. Link and total may each be wrong, so a full page is the last one only if neither names another. One request
// too many costs little; one too few loses users.
func (a answer) hasMore(entries, size int, known bool) bool {
	full, beyond := entries >= a.perPage, a.page.Number < pagesOf(a.page.Total, size)
	if known {
		return full && beyond
	}
	return full || beyond || a.page.Total < 0
}

// isBlock reports whether links or meta can be read. Absent, null and the empty list, which PHP produces for an empty
// map, count as an empty block.
func isBlock(value []byte) bool {
	switch {
	case isNone(value), isObject(value):
		return true
	case isList(value):
		return value[skipSpace(value, 1)] == ']'
	}
	return false
}

// member returns the value of a name in a block, nil if there is none.
func member(block []byte, name string) (value []byte) {
	if !isObject(block) {
		return nil
	}
	for found, v := range members(block) {
		if string(found) == name {
			value = v
		}
	}
	return value
}

// nextLink reports whether links.next promises another page. known is false if VOMO sent no next, ok is false if it
// is neither text nor null. The address of the link does not matter: it is never followed.
func nextLink(raw []byte) (more, known, ok bool) {
	switch {
	case len(raw) == 0:
		return false, false, true
	case isNone(raw):
		return false, true, true
	case !isText(raw):
		return false, false, false
	}
	next := strings.TrimSpace(textOf(raw))
	return next != "" && !strings.EqualFold(next, "null"), true, true
}

// wholeNumber parses a number that may be in quotes; ok is false if it cannot.
func wholeNumber(raw []byte) (int, bool) {
	n, err := strconv.Atoi(strings.Trim(string(raw), `" `))
	return n, err == nil
}
