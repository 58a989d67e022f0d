package endpoints

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/retryafter"
	"rollcall.dev/services/notifier/internal/signedpost"
)

const (
	postTimeout = 10 * time.Second
	// maxAnswer is how much of an answer is kept.
	maxAnswer = 512
	// maxDrained is read of an answer, so that the connection can be used again.
	maxDrained = 64 << 10
	// longestPause is the longest Retry-After that is honoured.
	longestPause = 24 * time.Hour
)

// NewClient returns the client for endpoints. It rejects addresses that are not public when it dials, unless private allows the endpoint, and
// follows no redirect: what is signed is for this receiver only.
func NewClient(private destination.PrivateAccess) *http.Client {
	return &http.Client{
		Timeout:       postTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     rest.NewTransport(private),
	}
}

// target is where and how an endpoint's deliveries are sent.
type target struct {
	url     string
	signers []*signedpost.Signer
}

// Codes of attempts without an answer.
const (
	codeTimeout     = "timeout"
	codeUnreachable = "unreachable"
	codeNotPublic   = "address_not_public"
	codeURL         = "url_unusable"
)

// result is the outcome of one POST.
type result struct {
	status     int    // 0: there was no answer
	code       string // "" if it was accepted
	answer     string // its beginning
	gone       bool   // the receiver wants nothing any more
	retryAfter time.Duration
}

func (r result) failed() bool { return r.code != "" }

// post makes one attempt. Its result quotes nothing of the URL.
func post(ctx context.Context, client *http.Client, to target, id string, body []byte) result {
	now := time.Now() // receivers compare it with their own clocks
	request, err := signedpost.Request(ctx, to.url, id, now, body, to.signers...)
	if err != nil {
		return result{code: codeURL}
	}
	response, err := client.Do(request)
	if err != nil {
		return result{code: codeOf(err)}
	}
	defer response.Body.Close() //nolint:errcheck // nothing more is read
	answer, _ := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxDrained))
	got := result{status: response.StatusCode, answer: printable(string(answer))}
	switch status := response.StatusCode; {
	case status >= 200 && status < 300:
		return got
	case status == http.StatusGone:
		got.gone = true
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		got.retryAfter = retryafter.Within(response.Header, now, longestPause)
	}
	got.code = "http_" + strconv.Itoa(response.StatusCode)
	return got
}

func codeOf(err error) string {
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, destination.ErrNotPublic):
		return codeNotPublic
	case errors.Is(err, context.DeadlineExceeded), isNet && timeout.Timeout():
		return codeTimeout
	}
	return codeUnreachable
}

// printable returns an answer without what a terminal would not print.
func printable(answer string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == '\n', r == '\t', r == '\r':
			return ' '
		case r == unicode.ReplacementChar, !unicode.IsPrint(r):
			return -1
		}
		return r
	}, answer))
}
