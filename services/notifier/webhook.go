package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/retryafter"
	"rollcall.dev/pkg/service"
)

const (
	webhookTimeout = 10 * time.Second
	longestAnswer  = 64 << 10 // read of an answer, so that the connection can be used again; nothing of it is kept
)

// webhook posts to one receiver, as Standard Webhooks has it. Nothing of its URL comes into an error: it may be the
// only secret that the receiver has.
type webhook struct {
	url    string
	signer *standardwebhooks.Webhook // nil: posts are not signed
	client *http.Client
	gate   gate
}

// newWebhook is nil where there is no URL.
func newWebhook(target, secret string) (*webhook, error) {
	if target == "" {
		return nil, nil //nolint:nilnil // none is no error
	}
	w := &webhook{url: target, client: &http.Client{
		Timeout: webhookTimeout,
		// What is posted is for this receiver; a redirect is an answer like another.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true},
	}}
	if secret != "" {
		signer, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return nil, errors.New("ALERT_WEBHOOK_SECRET cannot be read") // its own error may repeat it
		}
		w.signer = signer
	}
	return w, nil
}

func (w *webhook) notice(id, kind string, body []byte) notice {
	return notice{kind: kind, channel: channelWebhook, way: channelWebhook, send: func(ctx context.Context) error {
		return w.gate.through(func() error { return w.post(ctx, id, body) })
	}}
}

// forADay gives up on a receiver that has refused all for so long: each alert that waits holds a place among those in
// flight, of which there are some thousands, and no mail would be sent any more when all are taken.
func forADay(send func(ctx context.Context) error) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		err := send(ctx)
		cause := err
		if closed, ok := errors.AsType[*closedError](err); ok {
			cause = closed.cause
		}
		if errors.Is(cause, errRefusesAll) {
			return fault.Permanent(fault.CodeOf(cause), fmt.Errorf("given up after a day: %w", cause))
		}
		return err
	}
}

// post sends one body. A repetition of it has the same id.
func (w *webhook) post(ctx context.Context, id string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url, bytes.NewReader(body))
	if err != nil {
		return fault.Permanent("webhook_url", errors.New("ALERT_WEBHOOK_URL cannot be used"))
	}
	at := time.Now() // receivers compare it with their own clocks
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "rollcall/"+service.Version)
	request.Header.Set(standardwebhooks.HeaderWebhookID, id)
	// Not sent: it lets the transport post again where the receiver had closed the idle connection that was taken. A
	// receiver tells a repetition by the id.
	request.Header["Idempotency-Key"] = nil
	request.Header.Set(standardwebhooks.HeaderWebhookTimestamp, strconv.FormatInt(at.Unix(), 10))
	if w.signer != nil {
		signature, err := w.signer.Sign(id, at, body)
		if err != nil {
			return fmt.Errorf("sign: %w", err)
		}
		request.Header.Set(standardwebhooks.HeaderWebhookSignature, signature)
	}
	response, err := w.client.Do(request)
	if err != nil {
		if whole, ok := errors.AsType[*url.Error](err); ok { // its text repeats the URL
			err = whole.Err
		}
		return downError{fault.Unknown("webhook_unreachable", fmt.Errorf("post: %w", err))}
	}
	defer response.Body.Close()                                              //nolint:errcheck // nothing more is read
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, longestAnswer)) // only for the connection's sake
	return answered(response)
}

// answered reads the receiver's status.
func answered(response *http.Response) error {
	status := response.StatusCode
	err := fmt.Errorf("the receiver answered %d", status)
	code := "webhook_" + strconv.Itoa(status)
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		return downError{fault.Throttled(code, min(retryafter.Of(response.Header, time.Now()), longestNamed), err)}
	case refusesAll(status):
		return downError{fault.Unknown(code, fmt.Errorf("%w: %w", errRefusesAll, err))}
	case status >= 400 && status < 500 && status != http.StatusRequestTimeout:
		return fault.Permanent(code, err)
	}
	return downError{fault.Unknown(code, err)}
}

// errRefusesAll is in the error of an answer that has nothing to do with what was posted.
var errRefusesAll = errors.New("the receiver does not know us, or its address")

// refusesAll says whether the receiver does not know us or its own address any more: that is none of this alert's, and
// is mended by whoever hears of it.
func refusesAll(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusProxyAuthRequired:
		return true
	}
	return false
}

// posted is a body: what Standard Webhooks asks for, and a text that Slack shows.
type posted struct {
	Type      string          `json:"type"`
	Timestamp time.Time       `json:"timestamp"`
	Text      string          `json:"text"`
	Data      json.RawMessage `json:"data"`
}
