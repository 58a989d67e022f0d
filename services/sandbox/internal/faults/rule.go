// Package faults makes the sandbox misbehave by rules: slow answers, errors, outages, untrue answers.
//
// It owns the rules, how long each is active, and what it does to a request. The seed decides whether a rule with a
// probability applies. It does not know the error bodies of VOMO and the CRM: each passes its own.
package faults

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrInvalid is the error of an invalid rule.
var ErrInvalid = errors.New("not a valid fault")

// Targets of a rule.
const (
	VOMO     = "vomo"
	CRM      = "crm"
	Virtuous = "virtuous"
)

// Kinds of a rule.
const (
	Latency    = "latency"     // the answer comes later
	Status     = "status"      // an error status instead of the answer
	Drop       = "drop"        // the connection closes without an answer
	BrokenBody = "broken_body" // 200 with JSON that is cut short; nothing is stored
	Revoked    = "revoked"     // 401, as if the token were unknown
	Page       = "page"        // virtuous: 200 with the HTML page of a proxy; nothing is stored
)

// HTTPDate as RetryAfter means two seconds from now, written as an HTTP date.
const HTTPDate = "http-date"

const (
	maxDelay   = 10 * time.Minute
	maxRecords = 100_000
)

// Rule is one fault, in the form of the control API.
type Rule struct {
	Target      string   `json:"target"`               // vomo, crm or virtuous
	Org         string   `json:"org,omitempty"`        // vomo and virtuous: "" is all
	Tenant      string   `json:"tenant,omitempty"`     // crm: "" is all
	Operation   string   `json:"operation,omitempty"`  // virtuous: one of the Operations; "" is all
	Kind        string   `json:"kind"`                 //
	Status      int      `json:"status,omitempty"`     // kind status: 400 to 599
	RetryAfter  string   `json:"retryAfter,omitempty"` // kind status: the header as it is, or HTTPDate
	DelayMs     int      `json:"delayMs,omitempty"`    // kinds latency and slow_body, milliseconds
	Records     []string `json:"records,omitempty"`    // crm: external ids, vomo: ids of users read one by one, virtuous: transaction ids; none: all
	Probability *float64 `json:"probability,omitempty"`
	Count       int      `json:"count,omitempty"`   // hits after which it ends; 0: no limit
	Seconds     float64  `json:"seconds,omitempty"` // seconds after which it ends; 0: no limit
	Code        string   `json:"code,omitempty"`    // crm and virtuous: code in the body of the error
	Shape       string   `json:"shape,omitempty"`   // virtuous, kinds status and revoked: form of the body, one of ErrorShapes; "" is the usual one

	Next  string          `json:"next,omitempty"`  // kind next: one of the Next… values
	To    string          `json:"to,omitempty"`    // next foreign: scheme and host
	Total json.RawMessage `json:"total,omitempty"` // kind total: any JSON
	By    int             `json:"by,omitempty"`    // kinds total and results: how many too many
	Page  int             `json:"page,omitempty"`  // kind same_page: the page that is shown; 0: the first
}

// check returns an ErrInvalid that says what is invalid.
func (r Rule) check() error {
	if why := cmp.Or(r.wrongScope(), r.wrongAnswer(), r.wrongBend(), r.wrongExtent()); why != "" {
		return fmt.Errorf("%w: %s", ErrInvalid, why)
	}
	return nil
}

// wrongScope says what is invalid in the kind and the target.
func (r Rule) wrongScope() string {
	switch {
	case !slices.Contains([]string{VOMO, CRM, Virtuous}, r.Target):
		return "target is vomo, crm or virtuous"
	case !slices.Contains([]string{Latency, Status, Drop, BrokenBody, Revoked, Page}, r.Kind) && !r.carries() && !r.bends():
		return "kind is latency, status, drop, broken_body, revoked, page, slow_body, endless_body, cut_body, lost_answer, " +
			"next, total, same_page or results"
	case r.Target != CRM && r.Tenant != "":
		return "tenant is for the target crm"
	case r.Target == CRM && r.Org != "":
		return "org is for the targets vomo and virtuous"
	}
	return r.wrongOperation()
}

// wrongOperation says what is invalid in what only the target virtuous has.
func (r Rule) wrongOperation() string {
	switch {
	case r.Target != Virtuous && (r.Operation != "" || r.Shape != "" || r.Kind == Page):
		return "operation, shape and the kind page are for the target virtuous"
	case r.Operation != "" && !slices.Contains(Operations(), r.Operation):
		return fmt.Sprintf("operation is one of %v", Operations())
	case r.Shape != "" && (r.Kind != Status && r.Kind != Revoked || !slices.Contains(ErrorShapes(), r.Shape)):
		return fmt.Sprintf("shape is one of %v, for the kinds status and revoked", ErrorShapes())
	}
	return ""
}

// Operations returns the names of Virtuous' operations.
func Operations() []string {
	return []string{
		"organization", "transaction", "transactions", "contact_transaction", "gift", "gift_lookup", "gift_query", "contact", "contact_lookup", "contact_query",
		"contact_write", "token",
		"query_options", "project", "webhook",
	}
}

// ErrorShapes returns the names of the forms that an error of Virtuous may have.
func ErrorShapes() []string {
	return []string{"documented", "two_field", "text", "model_state", "message", "html", "empty"}
}

// wrongAnswer says what is invalid in the answer that the rule gives, or in its delay.
func (r Rule) wrongAnswer() string {
	switch {
	case r.Kind == Status && (r.Status < 400 || r.Status > 599):
		return "status is 400 to 599"
	case r.Kind != Status && (r.Status != 0 || r.RetryAfter != ""):
		return "status and retryAfter are for the kind status"
	case len(r.RetryAfter) > 64 || strings.ContainsAny(r.RetryAfter, "\r\n"):
		return "retryAfter is at most 64 characters on one line"
	case (r.Kind == Latency || r.Kind == SlowBody) && (r.DelayMs <= 0 || r.delay() > maxDelay):
		return "delayMs is 1 to 600000"
	case r.Kind != Latency && r.Kind != SlowBody && r.DelayMs != 0:
		return "delayMs is for the kinds latency and slow_body"
	case len(r.Records) > 0 && (r.bends() || r.carries() && r.Kind != LostAnswer):
		return "records are for single records, not for how an answer looks"
	}
	return ""
}

// wrongExtent says what is invalid in the choice of requests: which, how many and for how long.
func (r Rule) wrongExtent() string {
	switch {
	case len(r.Records) > maxRecords:
		return "records has too many ids"
	case r.Probability != nil && !(*r.Probability >= 0 && *r.Probability <= 1):
		return "probability is 0 to 1"
	case r.Count < 0 || !(r.Seconds >= 0) || math.IsInf(r.Seconds, 0) || r.Seconds > 1e8:
		return "count and seconds are not negative"
	case len(r.Code) > 64:
		return "code is at most 64 characters"
	}
	return ""
}

func (r Rule) delay() time.Duration { return time.Duration(r.DelayMs) * time.Millisecond }

// name returns the organisation or tenant of the rule.
func (r Rule) name() string {
	if r.Target == CRM {
		return r.Tenant
	}
	return r.Org
}

// Kinds of a rule that change a complete answer so that it is untrue. Several of them may apply to one answer.
const (
	NextLink = "next"      // vomo lists: links.next is what Rule.Next says
	Total    = "total"     // vomo lists: meta.total is Rule.Total, or wrong by Rule.By, or missing
	SamePage = "same_page" // vomo lists: each page has the users of page Rule.Page; virtuous queries: of the first page
	Results  = "results"   // crm batches: Rule.By results too many, or too few where it is negative
)

// Values of Rule.Next.
const (
	NextNullText   = "null_text"  // always the text "null"
	NextForeign    = "foreign"    // if there is a next page: on another host, Rule.To or one that does not exist
	NextSelf       = "self"       // always the page itself
	NextOn         = "on"         // always the next number, also after the end
	NextUnfiltered = "unfiltered" // if there is a next page: without the filters
	NextNone       = "none"       // always null
	NextMissing    = "missing"    // no such field
	NextNumber     = "number"     // the number of the next page and no link
)

// ForeignHost is the host of a foreign link if the rule names none.
const ForeignHost = "https://vomo.elsewhere.invalid"

func (r Rule) bends() bool {
	return slices.Contains([]string{NextLink, Total, SamePage, Results}, r.Kind)
}

// wrongBend says what is invalid in how the rule changes an answer.
func (r Rule) wrongBend() string {
	paged := r.Target == VOMO || r.Target == Virtuous && r.Kind == SamePage && r.Page == 0
	if !paged && r.bends() && r.Kind != Results || r.Target != CRM && r.Kind == Results {
		return "next, total and same_page are for the target vomo, same_page without page also for virtuous, results for crm"
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

// Bends returns the rules that change this answer, in the order in which they were added.
func (g *Gate) Bends(name string) []Rule { return g.Set.bends(g.Target, Request{Name: name}) }

// BendsOf returns the rules that change this answer to an operation.
func (g *Gate) BendsOf(of Request) []Rule { return g.Set.bends(g.Target, of) }

// TotalOf returns the total of a rule of the kind total: JSON, or nil if it is to be missing.
func (r Rule) TotalOf(total int) json.RawMessage {
	switch {
	case len(r.Total) > 0:
		return r.Total
	case r.By != 0:
		return json.RawMessage(strconv.Itoa(total + r.By))
	}
	return nil
}
