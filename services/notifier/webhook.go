package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/retryafter"
	"rollcall.dev/services/notifier/internal/signedpost"
)

const (
	webhookTimeout = 10 * time.Second
	maxResponse    = 64 << 10 // read of a response, so that the connection can be used again
)

// webhook posts to one receiver, by the Standard Webhooks specification. Its errors contain nothing of the URL, which may be
// the receiver's only secret.
type webhook struct {
	url    string
	signer *signedpost.Signer // nil: posts are not signed
	client *http.Client
	gate   gate
}

// newWebhook returns nil if there is no URL.
func newWebhook(target, secret string) (*webhook, error) {
	if target == "" {
		return nil, nil //nolint:nilnil // no webhook is no error
	}
	w := &webhook{url: target, client: &http.Client{
		Timeout: webhookTimeout,
		// Alerts are for this receiver only, so redirects are not followed.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
	}}
	if secret != "" {
		signer, err := signedpost.NewSigner(secret)
		if err != nil {
			return nil, errors.New("ALERT_WEBHOOK_SECRET cannot be read")
		}
		w.signer = signer
	}
	return w, nil
}

func (w *webhook) notice(id, kind string, body []byte) notice {
	return notice{kind: kind, channel: channelWebhook, channelType: channelWebhook, send: func(ctx context.Context) error {
		return w.gate.run(func() error { return w.post(ctx, id, body) })
	}}
}

// giveUpAfterDay makes the error permanent if the receiver rejects all posts. It is used for alerts that are a day old. Each
// waiting alert holds one of some thousand places in flight; if all were taken, no more mails would be sent.
func giveUpAfterDay(send func(ctx context.Context) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		err := send(ctx)
		cause := err
		if closed, ok := errors.AsType[*channelClosedError](err); ok {
			cause = closed.cause
		}
		if errors.Is(cause, errRejectsAll) {
			return fault.Permanent(fault.CodeOf(cause), fmt.Errorf("gave up after a day: %w", cause))
		}
		return err
	}
}

// post sends one body. A repetition has the same id.
func (w *webhook) post(ctx context.Context, id string, body []byte) error {
	var signers []*signedpost.Signer
	if w.signer != nil {
		signers = append(signers, w.signer)
	}
	request, err := signedpost.Request(ctx, w.url, id, time.Now(), body, signers...) // receivers compare the time with their own clocks
	if errors.Is(err, signedpost.ErrURL) {
		return fault.Permanent("webhook_url", errors.New("ALERT_WEBHOOK_URL cannot be used"))
	}
	if err != nil {
		return err
	}
	response, err := w.client.Do(request)
	if err != nil {
		return channelDownError{fault.Unknown("webhook_unreachable", fmt.Errorf("post: %w", signedpost.Cause(err)))}
	}
	defer response.Body.Close()                                            //nolint:errcheck // nothing more is read
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxResponse)) // so that the connection can be used again
	return classifyStatus(response)
}

// classifyStatus returns the error of a response, by its status.
func classifyStatus(response *http.Response) error {
	status := response.StatusCode
	err := fmt.Errorf("the receiver answered %d", status)
	code := "webhook_" + strconv.Itoa(status)
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return channelDownError{fault.Throttled(code, min(retryafter.Of(response.Header, time.Now()), maxRetryAfter), err)}
	case rejectsAll(status):
		return channelDownError{fault.Unknown(code, fmt.Errorf("%w: %w", errRejectsAll, err))}
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout:
		return fault.Permanent(code, err)
	}
	return channelDownError{fault.Unknown(code, err)}
}

// errRejectsAll says that the receiver would reject every other post, too.
var errRejectsAll = errors.New("the receiver rejects our credentials, or this address does not exist")

// rejectsAll returns whether the status says that the credentials or the address are wrong. That is no fault of the alert,
// and an operator can correct it.
func rejectsAll(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusProxyAuthRequired:
		return true
	}
	return false
}

// webhookBody is what Standard Webhooks requires, and a text that Slack shows.
type webhookBody struct {
	Type      string          `json:"type"`
	Timestamp time.Time       `json:"timestamp"`
	Text      string          `json:"text"`
	Data      json.RawMessage `json:"data"`
}
