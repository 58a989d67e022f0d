package faults

import (
	"context"
	"net/http"
	"time"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/traffic"
)

// Gate stands before one target and lets requests through, or not.
type Gate struct {
	Set      *Set
	Target   string
	NowFunc  func() time.Time                           // the target's clock, which dates a Retry-After; the Set has its own
	WaitFunc func(context.Context, time.Duration) error // returns early, with an error, when the context ends

	RefuseFunc func(w http.ResponseWriter, status int, code string) // writes the target's error body
	BrokenBody string                                               // what an answer that is cut short looks like
}

// Pass applies the rules for a whole request, and those for the record that it writes ("" when it writes
// none or many). It reports whether the request goes on; otherwise it has been dealt with. A connection that
// is to be dropped ends in a panic with http.ErrAbortHandler, which is net/http's way to say so.
func (g *Gate) Pass(w *traffic.Recorder, r *http.Request, name, record string) bool {
	delay, rule := g.Set.hit(g.Target, name, func(records map[string]bool) bool {
		return records == nil || record != "" && records[record]
	})
	if delay > 0 && g.WaitFunc(r.Context(), delay) != nil {
		Abort(w)
	}
	if rule == nil {
		return true
	}
	switch rule.Kind {
	case Drop:
		Abort(w)
	case BrokenBody:
		w.Note(traffic.BrokenBody)
		answer.Raw(w, http.StatusOK, []byte(g.BrokenBody))
	case Revoked:
		g.RefuseFunc(w, http.StatusUnauthorized, rule.Code)
	case SlowBody, EndlessBody, CutBody:
		g.carry(w, r, rule)
		return true
	case Status:
		switch rule.RetryAfter {
		case "":
		case HTTPDate:
			w.Header().Set("Retry-After", g.NowFunc().Add(2*time.Second).UTC().Format(http.TimeFormat))
		default:
			w.Header().Set("Retry-After", rule.RetryAfter)
		}
		g.RefuseFunc(w, rule.Status, rule.Code)
	}
	return false
}

// Record applies the rules that name a record which came among others in one request. A refusal is returned;
// a delay holds the whole request up, and a drop or a broken body ends it.
func (g *Gate) Record(w *traffic.Recorder, r *http.Request, name, record string) (status int, code string, refused bool) {
	delay, rule := g.Set.hit(g.Target, name, func(records map[string]bool) bool { return records[record] })
	if delay > 0 && g.WaitFunc(r.Context(), delay) != nil {
		Abort(w)
	}
	if rule == nil {
		return 0, "", false
	}
	switch rule.Kind {
	case Status:
		return rule.Status, rule.Code, true
	case Revoked:
		return http.StatusUnauthorized, rule.Code, true
	default: // no single record can have a broken connection or half an answer: the request has it
		Abort(w)
		return 0, "", true
	}
}

// Abort closes the connection without an answer. It does not return.
func Abort(w *traffic.Recorder) {
	w.Note(traffic.Dropped)
	panic(http.ErrAbortHandler)
}
