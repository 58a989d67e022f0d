// Package faults makes the sandbox misbehave by rules: slowly, with refusals, with outages.
//
// It owns the rules, how long each of them holds, and what they do to a request. Whether a rule with a
// probability strikes comes from the seed. It does not know what an error body looks like at VOMO or at the
// CRM: each of them brings its own.
package faults

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// ErrInvalid is the kind of a rule that cannot be.
var ErrInvalid = errors.New("not a valid fault")

// Targets of a rule.
const (
	VOMO = "vomo"
	CRM  = "crm"
)

// Kinds of a rule.
const (
	Latency    = "latency"     // the answer comes later
	Status     = "status"      // an error status instead of the answer
	Drop       = "drop"        // the connection closes without an answer
	BrokenBody = "broken_body" // 200 with JSON that is cut short; nothing is stored
	Revoked    = "revoked"     // 401, as if the token were unknown
)

// HTTPDate as RetryAfter means two seconds from now, written as an HTTP date.
const HTTPDate = "http-date"

const (
	maxDelay   = 10 * time.Minute
	maxRecords = 100_000
)

// Rule is one fault, as the control API takes it.
type Rule struct {
	Target      string   `json:"target"`               // vomo or crm
	Org         string   `json:"org,omitempty"`        // vomo: "" is all
	Tenant      string   `json:"tenant,omitempty"`     // crm: "" is all
	Kind        string   `json:"kind"`                 //
	Status      int      `json:"status,omitempty"`     // kind status: 400 to 599
	RetryAfter  string   `json:"retryAfter,omitempty"` // kind status: the header as it is, or HTTPDate
	DelayMs     int      `json:"delayMs,omitempty"`    // kinds latency and slow_body, milliseconds
	Records     []string `json:"records,omitempty"`    // crm: external ids that it is for; none is all
	Probability *float64 `json:"probability,omitempty"`
	Count       int      `json:"count,omitempty"`   // hits after which it ends; 0 is no limit
	Seconds     float64  `json:"seconds,omitempty"` // seconds after which it ends; 0 is no limit
	Code        string   `json:"code,omitempty"`    // crm: code in the body of the refusal

	Next  string          `json:"next,omitempty"`  // kind next: one of the Next… values
	To    string          `json:"to,omitempty"`    // next foreign: scheme and host
	Total json.RawMessage `json:"total,omitempty"` // kind total: any JSON
	By    int             `json:"by,omitempty"`    // kinds total and results: how much too many
	Page  int             `json:"page,omitempty"`  // kind same_page: whose users; 0 is the first
}

// check returns what is wrong with a rule as an ErrInvalid.
func (r Rule) check() error {
	if why := cmp.Or(r.wrongScope(), r.wrongAnswer(), r.wrongBend(), r.wrongExtent()); why != "" {
		return fmt.Errorf("%w: %s", ErrInvalid, why)
	}
	return nil
}

// wrongScope is what is wrong with the kind of the rule and with its target.
func (r Rule) wrongScope() string {
	switch {
	case r.Target != VOMO && r.Target != CRM:
		return "target is vomo or crm"
	case !slices.Contains([]string{Latency, Status, Drop, BrokenBody, Revoked}, r.Kind) && !r.carries() && !r.bends():
		return "kind is latency, status, drop, broken_body, revoked, slow_body, endless_body, cut_body, next, total, same_page or results"
	case r.Target == VOMO && (r.Tenant != "" || len(r.Records) > 0):
		return "tenant and records are for the target crm"
	case r.Target == CRM && r.Org != "":
		return "org is for the target vomo"
	}
	return ""
}

// wrongAnswer is what is wrong with what a request gets instead of its answer, or before it.
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
	case len(r.Records) > 0 && (r.bends() || r.carries()):
		return "records are for single records, not for how an answer looks"
	}
	return ""
}

// wrongExtent is what is wrong with the requests that are struck: which, how many and for how long.
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

// name is the organisation or tenant that the rule is for.
func (r Rule) name() string {
	if r.Target == VOMO {
		return r.Org
	}
	return r.Tenant
}
