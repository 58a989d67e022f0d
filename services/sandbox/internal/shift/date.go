package shift

import (
	"net/http"
	"time"
)

// Dated gives every answer the clock's time as its Date, where net/http would put the real one. The clock is
// read when the answer begins, but a move meanwhile is not in it: a jump over an hour would date an answer an
// hour behind what it shows, and a client that reads on from that date would miss the hour.
func Dated(c *Clock, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(&dated{ResponseWriter: w, nowFunc: c.running()}, r)
	})
}

type dated struct {
	http.ResponseWriter

	nowFunc func() time.Time
	begun   bool
}

// WriteHeader dates the answer and sends its status.
func (d *dated) WriteHeader(status int) {
	d.begin()
	d.ResponseWriter.WriteHeader(status)
}

// Write dates the answer, if it has no status yet, and sends a part of its body.
func (d *dated) Write(body []byte) (int, error) {
	d.begin()
	return d.ResponseWriter.Write(body) //nolint:wrapcheck // a writer's own errors are its caller's contract
}

func (d *dated) begin() {
	if !d.begun {
		d.begun = true
		d.Header().Set("Date", d.nowFunc().UTC().Format(http.TimeFormat))
	}
}

// Unwrap lets net/http find what the wrapped writer can do more.
func (d *dated) Unwrap() http.ResponseWriter { return d.ResponseWriter }
