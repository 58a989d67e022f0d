package faults

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strconv"
)

// Kinds of a rule that leave the answer whole and untrue. Any number of them strike at once.
const (
	NextLink = "next"      // vomo lists: links.next is what Rule.Next says
	Total    = "total"     // vomo lists: meta.total is Rule.Total, or wrong by Rule.By, or missing
	SamePage = "same_page" // vomo lists: whatever page is asked for, the users are those of Rule.Page
	Results  = "results"   // crm batches: Rule.By results too many, or too few where it is negative
)

// What Rule.Next may say of links.next.
const (
	NextNullText   = "null_text"  // "null", always
	NextForeign    = "foreign"    // where there is one: on another host, Rule.To or one that does not exist
	NextSelf       = "self"       // the page itself, always
	NextOn         = "on"         // the page after it, behind the end too
	NextUnfiltered = "unfiltered" // where there is one: without the filters
	NextNone       = "none"       // null, always
	NextMissing    = "missing"    // no such field
	NextNumber     = "number"     // the number of the next page and no link
)

// ForeignHost is where a foreign link leads unless the rule says.
const ForeignHost = "https://vomo.elsewhere.invalid"

func (r Rule) bends() bool {
	return slices.Contains([]string{NextLink, Total, SamePage, Results}, r.Kind)
}

// wrongBend is what is wrong with how the rule makes an answer untrue.
func (r Rule) wrongBend() string {
	if r.Target != VOMO && r.bends() && r.Kind != Results || r.Target != CRM && r.Kind == Results {
		return "next, total and same_page are for the target vomo, results for crm"
	}
	return cmp.Or(r.wrongLink(), r.wrongNumber())
}

func (r Rule) wrongLink() string {
	links := []string{NextNullText, NextForeign, NextSelf, NextOn, NextUnfiltered, NextNone, NextMissing, NextNumber}
	to, err := url.Parse(r.To)
	switch {
	case r.Kind == NextLink && !slices.Contains(links, r.Next):
		return "next is null_text, foreign, self, on, unfiltered, none, missing or number"
	case r.Kind != NextLink && r.Next != "":
		return "next is for the kind next"
	case r.To != "" && (r.Next != NextForeign || err != nil || to.Host == "" || to.Path != ""):
		return "to is the scheme and host of another place, for next foreign"
	}
	return ""
}

func (r Rule) wrongNumber() string {
	switch {
	case r.Kind != Total && len(r.Total) > 0:
		return "total is for the kind total"
	case len(r.Total) > 0 && r.By != 0:
		return "total or by, not both"
	case r.Kind != Total && r.Kind != Results && r.By != 0:
		return "by is for the kinds total and results"
	case r.By < -1_000_000 || r.By > 1_000_000:
		return "by is -1000000 to 1000000"
	case r.Page < 0 || r.Kind != SamePage && r.Page != 0:
		return "page is 1 or more, for the kind same_page"
	}
	return ""
}

// Bends returns the rules that make this answer untrue, in the order in which they were added.
func (g *Gate) Bends(name string) []Rule {
	return g.Set.bends(g.Target, name)
}

// TotalOf is what a rule of the kind total makes of one: JSON, or nothing where it is missing.
func (r Rule) TotalOf(total int) json.RawMessage {
	switch {
	case len(r.Total) > 0:
		return r.Total
	case r.By != 0:
		return json.RawMessage(strconv.Itoa(total + r.By))
	}
	return nil
}
