package faults

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/traffic"
)

// Gate applies the rules to the requests of one target.
type Gate struct {
	Set      *Set
	Target   string
	NowFunc  func() time.Time                           // the target's clock, for a Retry-After with a date; the Set has the real time
	WaitFunc func(context.Context, time.Duration) error // returns early, with an error, if the context ends

	RefuseFunc func(w http.ResponseWriter, rule Rule) // writes the target's error body: the status, code and shape of a rule
	BrokenBody string                                 // the body of an answer that is cut short
}

// Request is what the rules look at.
type Request struct {
	Name      string // organisation or tenant
	Operation string // "" at a target whose rules have none
	Record    string // the one record that it is about; "": none or many
}

// Pass applies the rules of a whole request, and those of its record. It reports whether the request continues; if not,
// the gate has answered it. To drop a connection, Pass panics with http.ErrAbortHandler, as net/http documents.
func (g *Gate) Pass(w *traffic.Recorder, r *http.Request, of Request) bool {
	delay, rule := g.Set.hit(g.Target, of, func(records map[string]bool) bool {
		return records == nil || of.Record != "" && records[of.Record]
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
	case Page:
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusOK)
		_, _ = w.Write([]byte(page)) // the client may have closed the connection
	case Revoked:
		refused := *rule
		refused.Status = http.StatusUnauthorized
		g.RefuseFunc(w, refused)
	case SlowBody, EndlessBody, CutBody, LostAnswer:
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
		g.RefuseFunc(w, *rule)
	}
	return false
}

// page is what a proxy in front of Virtuous shows.
const page = `<html><body>Sign in</body></html>`

// Record applies the rules that name one record of a batch. It returns the error of the record. A delay delays the whole
// request, and a drop or a broken body ends it.
func (g *Gate) Record(w *traffic.Recorder, r *http.Request, name, record string) (status int, code string, refused bool) {
	delay, rule := g.Set.hit(g.Target, Request{Name: name}, func(records map[string]bool) bool { return records[record] })
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
	default: // a broken connection or half an answer is the whole request's
		Abort(w)
		return 0, "", true
	}
}

// Abort closes the connection without an answer. It does not return.
func Abort(w *traffic.Recorder) {
	w.Note(traffic.Dropped)
	panic(http.ErrAbortHandler)
}

// Kinds of a rule that spoil the transport of a true answer. The request itself has been carried out.
const (
	SlowBody    = "slow_body"    // one byte each DelayMs
	EndlessBody = "endless_body" // blanks follow the body for as long as the client reads
	CutBody     = "cut_body"     // the connection closes in the middle of the body
	LostAnswer  = "lost_answer"  // the connection closes before the first byte
)

func (r Rule) carries() bool {
	return slices.Contains([]string{SlowBody, EndlessBody, CutBody, LostAnswer}, r.Kind)
}

// carry makes the recorder send the answer as the rule says.
func (g *Gate) carry(w *traffic.Recorder, r *http.Request, rule *Rule) {
	switch rule.Kind {
	case EndlessBody, CutBody:
		w.Note(traffic.BrokenBody)
	case LostAnswer:
		w.Note(traffic.Dropped)
	}
	kind, pause := rule.Kind, rule.delay()
	w.CarryFunc = func(plain http.ResponseWriter, status int, body []byte) {
		if kind == LostAnswer {
			Abort(w)
		}
		if kind != EndlessBody {
			plain.Header().Set("Content-Length", strconv.Itoa(len(body)))
		} else {
			plain.Header().Del("Content-Length")
		}
		plain.WriteHeader(status)
		gone := false
		switch kind {
		case SlowBody:
			gone = g.drip(plain, r, body, pause)
		case CutBody:
			send(plain, body[:len(body)/2])
			gone = true
		case EndlessBody:
			for gone = send(plain, body); !gone; {
				gone = r.Context().Err() != nil || send(plain, bytes.Repeat([]byte{' '}, 64<<10))
			}
		}
		if gone {
			Abort(w)
		}
	}
}

// drip sends a body byte by byte and reports whether the client has closed the connection.
func (g *Gate) drip(w http.ResponseWriter, r *http.Request, body []byte, pause time.Duration) (gone bool) {
	for i := range body {
		if g.WaitFunc(r.Context(), pause) != nil || send(w, body[i:i+1]) {
			return true
		}
	}
	return false
}

// send sends bytes at once and reports whether the client has closed the connection.
func send(w http.ResponseWriter, part []byte) (gone bool) {
	_, err := w.Write(part)
	return err != nil || http.NewResponseController(w).Flush() != nil
}
