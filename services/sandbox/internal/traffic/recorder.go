package traffic

import (
	"cmp"
	"net/http"
)

// Outcomes that are no status.
const (
	Dropped    = "dropped"     // the connection was closed without an answer
	BrokenBody = "broken_body" // 200, and the body cut short
)

// Recorder tells how a request ended, once, and before the client can know.
type Recorder struct {
	http.ResponseWriter

	// CarryFunc sends an answer in the place of the writer below: its status and its body, which is one Write.
	CarryFunc func(w http.ResponseWriter, status int, body []byte)

	endedFunc func(outcome string)
	ended     bool
	status    int // for CarryFunc
}

// Record wraps an answer. endedFunc gets the status or what was noted instead.
func Record(w http.ResponseWriter, endedFunc func(outcome string)) *Recorder {
	return &Recorder{ResponseWriter: w, endedFunc: endedFunc}
}

// Note records an outcome other than the status that follows.
func (r *Recorder) Note(outcome string) {
	if !r.ended {
		r.ended = true
		r.endedFunc(outcome)
	}
}

// WriteHeader records the status and sends it.
func (r *Recorder) WriteHeader(status int) {
	r.Note(Status(status))
	if r.CarryFunc != nil {
		r.status = status
		return
	}
	r.ResponseWriter.WriteHeader(status)
}

// Write sends a body, with status 200 when there was none.
func (r *Recorder) Write(body []byte) (int, error) {
	r.Note(Status(http.StatusOK))
	if r.CarryFunc != nil {
		r.CarryFunc(r.ResponseWriter, cmp.Or(r.status, http.StatusOK), body)
		return len(body), nil
	}
	return r.ResponseWriter.Write(body) //nolint:wrapcheck // a writer's own errors are its caller's contract
}

// Unwrap lets net/http find what the wrapped writer can do more.
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
