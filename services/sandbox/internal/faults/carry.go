package faults

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"time"

	"rollcall.dev/services/sandbox/internal/traffic"
)

// Kinds of a rule that spoil how a true answer is carried. What the request was for has been done.
const (
	SlowBody    = "slow_body"    // one byte each DelayMs
	EndlessBody = "endless_body" // behind the body come blanks, for as long as the client reads
	CutBody     = "cut_body"     // the connection closes in the middle of the body
)

func (r Rule) carries() bool {
	return slices.Contains([]string{SlowBody, EndlessBody, CutBody}, r.Kind)
}

// carry has the answer that follows carried as the rule says.
func (g *Gate) carry(w *traffic.Recorder, r *http.Request, rule *Rule) {
	if rule.Kind != SlowBody {
		w.Note(traffic.BrokenBody)
	}
	kind, pause := rule.Kind, rule.delay()
	w.CarryFunc = func(plain http.ResponseWriter, status int, body []byte) {
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

// drip sends a body byte by byte and reports whether the client has gone meanwhile.
func (g *Gate) drip(w http.ResponseWriter, r *http.Request, body []byte, pause time.Duration) (gone bool) {
	for i := range body {
		if g.WaitFunc(r.Context(), pause) != nil || send(w, body[i:i+1]) {
			return true
		}
	}
	return false
}

// send sends bytes at once and reports whether the client has stopped reading.
func send(w http.ResponseWriter, part []byte) (gone bool) {
	_, err := w.Write(part)
	return err != nil || http.NewResponseController(w).Flush() != nil
}
