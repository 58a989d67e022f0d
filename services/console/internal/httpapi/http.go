package httpapi

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// withProblems answers problem+json also where no operation matches.
func withProblems(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handler, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		unmatched := &recorder{header: w.Header(), status: http.StatusOK}
		handler.ServeHTTP(unmatched, r) // it says 404, or 405 with the header Allow
		detail := "there is no such path: " + Prefix + "/openapi.json lists all of them"
		if unmatched.status == http.StatusMethodNotAllowed {
			detail = "this path takes " + w.Header().Get("Allow")
		}
		writeProblem(w, unmatched.status, detail)
	})
}

// writeProblem writes a problem outside of an operation.
func writeProblem(w http.ResponseWriter, status int, detail string) {
	body, err := json.Marshal(map[string]any{"title": http.StatusText(status), "status": status, "detail": detail})
	if err != nil {
		body = nil // the status has to do
	}
	w.Header().Del("Content-Length")
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may have closed the connection
}

// recorder keeps an answer instead of sending it.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

// Header returns the headers of the answer.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader keeps the status.
func (r *recorder) WriteHeader(status int) { r.status = status }

// Write keeps a part of the body.
func (r *recorder) Write(part []byte) (int, error) { return r.body.Write(part) }

// wrap gives each answer to a GET an ETag, and answers 304 if the client has it. Times of the answer itself do not count, so
// that a client that polls a status is sent what changed: such an ETag is a weak one.
func (e etags) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		answer := &recorder{header: w.Header(), status: http.StatusOK}
		next.ServeHTTP(answer, r)
		if w.Header().Get("Cache-Control") == "" {
			w.Header().Set("Cache-Control", "private, no-cache")
		}
		if answer.status == http.StatusOK {
			tag := e.of(answer.body.Bytes())
			w.Header().Set("ETag", tag)
			if matches(r.Header.Get("If-None-Match"), tag) {
				w.Header().Del("Content-Type")
				w.WriteHeader(http.StatusNotModified)
				return
			}
		}
		w.WriteHeader(answer.status)
		_, _ = w.Write(answer.body.Bytes()) // the client may have closed the connection
	})
}

// etags makes ETags.
type etags struct {
	times *regexp.Regexp // the fields that say when the answer was made
}

func newETags() etags {
	return etags{times: regexp.MustCompile(`"(asOf|ageSeconds)":("[^"]*"|[0-9]+),?`)}
}

func (e etags) of(body []byte) string {
	lasting := e.times.ReplaceAll(body, nil)
	sum := sha256.Sum256(lasting)
	tag := `"` + hex.EncodeToString(sum[:12]) + `"`
	if len(lasting) != len(body) {
		return "W/" + tag
	}
	return tag
}

// matches compares a list of ETags weakly, as If-None-Match is.
func matches(list, tag string) bool {
	if list == "" {
		return false
	}
	return list == "*" || slices.ContainsFunc(strings.Split(list, ","), func(one string) bool {
		return strings.TrimPrefix(strings.TrimSpace(one), "W/") == strings.TrimPrefix(tag, "W/")
	})
}
