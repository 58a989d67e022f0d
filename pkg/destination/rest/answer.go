package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/retryafter"
)

const (
	maxAnswer = 1 << 20
	maxID     = 512

	// longestPause is the longest accepted Retry-After: a wrong one may stop a customer for a day, and not for ever.
	longestPause = 24 * time.Hour
)

// answer is what a destination may send with a rejection. The two codes mean the same: some put it into an error
// object.
type answer struct {
	Code  json.RawMessage `json:"code"`
	Error json.RawMessage `json:"error"`
}

// read returns what the answer means for the record.
func read(ctx context.Context, resp *http.Response, externalID string) (destination.Result, error) {
	body, err := readBody(resp.Body)
	if !succeeded(resp.StatusCode) {
		result, err := rejectionOf(ctx, resp, body, err, externalID)
		return result, destination.WithAnswer(err, resp.StatusCode, body)
	}
	if err != nil {
		return destination.Result{}, transportFault(ctx, err)
	}
	if isPage(body) {
		return destination.Result{}, pageForPeople(resp.StatusCode)
	}
	if body == nil {
		return destination.Result{}, unclearAnswer(resp.StatusCode, "a longer body than is read")
	}
	result, err := accepted(resp.StatusCode, body, pauseOf(resp), externalID)
	return result, destination.WithAnswer(err, resp.StatusCode, body)
}

// readDeletion returns what the answer to a deletion means. A destination that keeps the record because it has a newer
// version of it has not deleted it.
func readDeletion(ctx context.Context, resp *http.Response) error {
	if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusGone {
		_, _ = readBody(resp.Body) // so that the connection can be reused; the status says it all
		return nil
	}
	result, err := read(ctx, resp, "")
	if err == nil && result.Stale {
		return destination.NewRejection(resp.StatusCode, "stale")
	}
	return err
}

func pauseOf(resp *http.Response) time.Duration {
	return retryafter.Within(resp.Header, time.Now(), longestPause)
}

func succeeded(status int) bool { return status >= 200 && status < 300 }

func pageForPeople(status int) error {
	return fault.Unknown("destination_broken_answer",
		fmt.Errorf("the destination answered %d with a page for people: does the URL lead to its API?", status))
}

// rejectionOf returns what an answer without success means; err is the error of reading its body.
func rejectionOf(ctx context.Context, resp *http.Response, body []byte, err error, externalID string) (destination.Result, error) {
	status := resp.StatusCode
	pause := pauseOf(resp)
	switch {
	case status >= 300 && status < 400:
		return destination.Result{}, fmt.Errorf("the destination answered %d: %w", status, destination.ErrRedirect)
	case status == http.StatusUnauthorized:
		return destination.Result{}, fmt.Errorf("status %d: %w", status, destination.ErrAuth)
	case status == http.StatusForbidden:
		return destination.Result{}, fmt.Errorf("status %d: %w", status, destination.ErrForbidden)
	case status == http.StatusTooManyRequests, isRetryable(status) && pause > 0:
		return destination.Result{}, fault.Throttled("destination_throttled", pause, fmt.Errorf("the destination answered %d", status))
	case status == http.StatusLocked, status == http.StatusTooEarly:
		return destination.Result{}, fault.Unknown("destination_not_yet", fmt.Errorf("the destination answered %d", status))
	case status == http.StatusRequestTimeout:
		return destination.Result{}, fault.Unknown("destination_timeout", errors.New("the destination answered 408"))
	case status == http.StatusConflict && err != nil:
		// Stale or rejected: only the body says which.
		return destination.Result{}, transportFault(ctx, err)
	case status >= 400 && status < 500:
		code := codeOf(body)
		if status == http.StatusConflict && code == "stale" {
			return destination.Result{ExternalUserID: externalID, Stale: true}, nil
		}
		return destination.Result{}, destination.NewRejection(status, code)
	case status >= 500:
		return destination.Result{}, fault.Unknown("destination_5xx", fmt.Errorf("the destination answered %d", status))
	}
	return destination.Result{}, fault.Unknown("destination_broken_answer",
		fmt.Errorf("the destination answered %d, which no write has", status))
}

// readBody reads to the end, so that the connection can be reused, but at most maxAnswer: of a longer answer it
// returns nothing, since half a JSON document is useless.
func readBody(body io.Reader) ([]byte, error) {
	read, err := io.ReadAll(io.LimitReader(body, maxAnswer+1))
	if err != nil || len(read) > maxAnswer {
		return nil, err // nil must not be mistaken for an empty body
	}
	return read, nil
}

// isPage distinguishes HTML or XML from the JSON of the contract. A login page or a web app's fallback answers 200
// for any path; treating it as a success would report every user as mirrored although none was.
func isPage(body []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(body, "\ufeff \t\r\n"), []byte("<"))
}

// idIn returns the id, a string or a number, or "" if there is none that can be stored: an id with control characters
// would fail the transaction of its whole page.
func idIn(part object) string {
	id := text(part["id"])
	if id == "" {
		var number json.Number
		if json.Unmarshal(part["id"], &number) != nil {
			return ""
		}
		id = number.String()
	}
	if len(id) > maxID || strings.ContainsFunc(id, unicode.IsControl) {
		return ""
	}
	return id
}

// codeOf returns the destination's own code, "" if there is none. NewRejection decides what may be kept.
func codeOf(body []byte) string {
	var a answer
	if json.Unmarshal(bytes.TrimPrefix(body, []byte("\ufeff")), &a) != nil {
		return ""
	}
	if code := text(a.Code); code != "" {
		return code
	}
	var inner answer
	if json.Unmarshal(a.Error, &inner) != nil {
		return ""
	}
	return text(inner.Code)
}

// text returns the text of a JSON string, "" for everything else.
func text(raw json.RawMessage) string {
	if len(raw) == 0 || raw[0] != '"' {
		return ""
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}
