package vomoapi

import (
	"cmp"
	"encoding/json"
	"strconv"

	"rollcall.dev/services/sandbox/internal/faults"
)

// bent is a list that is about to be made untrue: what is true of it.
type bent struct {
	path     string
	number   int
	total    int
	isLast   bool
	linkFunc func(page int) string
}

// shown is the page whose users are shown when another may have been asked for.
func shown(bends []faults.Rule, number int) int {
	for _, bend := range bends {
		if bend.Kind == faults.SamePage {
			return cmp.Or(bend.Page, 1)
		}
	}
	return number
}

func (b bent) apply(bends []faults.Rule, out *page) {
	for _, bend := range bends {
		switch bend.Kind {
		case faults.NextLink:
			out.Links.Next = b.next(bend, out.Links.Next)
		case faults.Total:
			out.Meta.Total = bend.TotalOf(b.total)
		}
	}
}

// next is the link that the rule wants, or the true one where the rule has none for this page.
func (b bent) next(rule faults.Rule, honest json.RawMessage) json.RawMessage {
	query := "?page=" + strconv.Itoa(b.number+1)
	switch rule.Next {
	case faults.NextNullText:
		return quoted("null")
	case faults.NextSelf:
		return quoted(b.linkFunc(b.number))
	case faults.NextOn:
		return quoted(b.linkFunc(b.number + 1))
	case faults.NextNone:
		return json.RawMessage("null")
	case faults.NextMissing:
		return nil
	case faults.NextNumber:
		return json.RawMessage(strconv.Itoa(b.number + 1))
	case faults.NextForeign:
		if !b.isLast {
			return quoted(cmp.Or(rule.To, faults.ForeignHost) + "/v1/users" + query)
		}
	case faults.NextUnfiltered:
		if !b.isLast {
			return quoted(b.path + query)
		}
	}
	return honest
}
