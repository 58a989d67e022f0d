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

// Recorder reports the outcome of a request once, before the client can see it.
type Recorder struct {
	http.ResponseWriter

	// CarryFunc sends the answer instead of the wrapped writer. The body is one Write.
	CarryFunc func(w http.ResponseWriter, status int, body []byte)

	endedFunc func(outcome string)
	ended     bool
	status    int // for CarryFunc
}

// Record wraps an answer. endedFunc gets the status, or the outcome that was noted before.
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

// Write sends a body, with status 200 if no status was written.
func (r *Recorder) Write(body []byte) (int, error) {
	r.Note(Status(http.StatusOK))
	if r.CarryFunc != nil {
		r.CarryFunc(r.ResponseWriter, cmp.Or(r.status, http.StatusOK), body)
		return len(body), nil
	}
	return r.ResponseWriter.Write(body) //nolint:wrapcheck // a writer's own errors are its caller's contract
}

// Unwrap lets net/http use the other methods of the wrapped writer.
func (r *Recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }
