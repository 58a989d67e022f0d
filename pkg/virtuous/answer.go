package virtuous

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/pkg/retryafter"
)

// Answer is what the head of an answer says, whatever it is the answer to.
type Answer struct {
	Use       Use
	Status    int
	RequestID string    // X-Request-Id, for the log; "" if there is none that can be logged
	Date      time.Time // Virtuous' clock; zero if the answer does not say
	Quota     Quota
	// After is the pause that the answer asks for, an hour at most; 0 if it names none. Status 429 asks for a pause also
	// if it names none.
	After time.Duration
	Took  time.Duration // until the answer's head was there
}

// Quota is what an answer says about the requests that the organization may send in an hour. All its integrations share
// them.
type Quota struct {
	Limit      int64         // 0: the answer does not say
	Remaining  int64         // -1: the answer does not say
	ResetAfter time.Duration // until the quota is full again; 0: the answer does not say
}

func answerOf(resp *http.Response, use Use, now time.Time) Answer {
	answer := Answer{Use: use, Status: resp.StatusCode, RequestID: requestIDOf(resp.Header)}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		answer.Date = date.UTC()
	}
	answer.Quota = quotaOf(resp.Header, now)
	answer.After = retryafter.Of(resp.Header, now)
	if answer.Status == http.StatusTooManyRequests && answer.After == 0 && answer.Quota.Remaining == 0 {
		answer.After = min(answer.Quota.ResetAfter, retryafter.Longest)
	}
	return answer
}

// quotaOf reads the headers of the quota, in both of the spellings in use. The time of the reset is compared with the
// answer's own Date, so that the local clock may be wrong.
func quotaOf(header http.Header, now time.Time) Quota {
	quota := Quota{Remaining: -1}
	if limit, ok := quotaHeader(header, "Limit"); ok {
		quota.Limit = limit
	}
	if remaining, ok := quotaHeader(header, "Remaining"); ok {
		quota.Remaining = remaining
	}
	reset, ok := quotaHeader(header, "Reset")
	if !ok || reset == 0 {
		return quota
	}
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		now = date
	}
	switch {
	case reset > 1e12: // milliseconds
		quota.ResetAfter = time.UnixMilli(reset).Sub(now)
	case reset > 1e8:
		quota.ResetAfter = time.Unix(reset, 0).Sub(now)
	default: // the seconds themselves, as other APIs do
		quota.ResetAfter = time.Duration(reset) * time.Second
	}
	quota.ResetAfter = min(max(quota.ResetAfter, 0), 24*time.Hour)
	return quota
}

func quotaHeader(header http.Header, name string) (int64, bool) {
	for _, prefix := range []string{"X-RateLimit-", "X-Rate-Limit-"} {
		text := strings.TrimSpace(header.Get(prefix + name))
		if number, err := strconv.ParseInt(text, 10, 64); err == nil && number >= 0 {
			return number, true
		}
	}
	return 0, false
}

const maxRequestID = 100

// requestIDOf returns the request's id at Virtuous, "" if it is longer than an id or has characters that no id has.
func requestIDOf(header http.Header) string {
	id := header.Get("X-Request-ID")
	if len(id) > maxRequestID {
		return ""
	}
	for _, b := range []byte(id) {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '_', b == '.', b == ':', b == '|', b == '/', b == '=', b == '+':
		default:
			return ""
		}
	}
	return id
}
