// Package rest is the destination of kind "rest": any system that accepts PUT {base}/users/{external_id} and
// DELETE {base}/users/{id}, and optionally POST {base}/users:batchUpsert.
//
// It makes the HTTP requests, interprets the answers and provides the shared transport. A redirect is never followed
// (the token would be sent along), no answer is read beyond 1 MiB, and no error's text contains the URL, the token,
// or anything from the destination except a short code: the answer is kept separately, see destination.AnswerOf. It
// makes one attempt: retries and the circuit breaker are in destination.Guard.
package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
)

const (
	defaultTimeout   = 10 * time.Second
	defaultUserAgent = "rollcall"
)

// Config configures a REST destination.
type Config struct {
	URL       string            // the base URL; "/users/{external_id}" is appended
	Token     string            // sent as Bearer token; "" sends no Authorization
	Transport http.RoundTripper // shared, see NewTransport; nil creates one for this destination only, for public addresses
	Timeout   time.Duration     // of one attempt, from connecting to the answer's last byte; default 10 s
	UserAgent string            // default "rollcall"
	BatchSize int               // maximum of records in one POST {base}/users:batchUpsert; below 2: one PUT per record
}

// Destination writes users to one REST system. Many goroutines may use it at once.
type Destination struct {
	base      *url.URL
	header    http.Header
	transport http.RoundTripper
	timeout   time.Duration
	batchSize int
}

var _ destination.Batcher = (*Destination)(nil)

// Factory creates REST destinations that share common's transport, timeout and user agent; URL and token come from
// each customer's settings. It checks the URL with destination.CheckURL under private.
func Factory(common Config, private destination.PrivateAccess) destination.Factory {
	if common.Transport == nil {
		common.Transport = NewTransport(private)
	}
	return func(cfg destination.Config) (destination.Destination, error) {
		if err := destination.CheckURL(cfg.URL, private); err != nil {
			return nil, err
		}
		own := common
		own.URL, own.Token, own.BatchSize = cfg.URL, cfg.Token, cfg.BatchSize
		return New(own)
	}
}

// New returns the destination at cfg.URL. It does not check whether its address may be private: Factory does. Its
// errors are permanent faults, destination_url_invalid and destination_token_invalid.
func New(cfg Config) (*Destination, error) {
	if err := destination.CheckURL(cfg.URL, destination.PrivateAccess{All: true}); err != nil {
		return nil, err
	}
	base, err := url.Parse(strings.TrimRight(cfg.URL, "/"))
	if err != nil { // CheckURL has parsed it; url.Parse's own error would quote it
		return nil, fault.Permanent("destination_url_invalid", errors.New("the destination's URL is not a URL"))
	}
	if cfg.Transport == nil {
		cfg.Transport = NewTransport(destination.PrivateAccess{})
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = defaultTimeout
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = defaultUserAgent
	}
	header := http.Header{
		"Accept":       {"application/json"},
		"Content-Type": {"application/json"},
		"User-Agent":   {cfg.UserAgent},
		// The header is present but empty: it is not sent, and net/http then knows that it may send the request again
		// if a kept-alive connection turns out to be closed. A PUT with a body would fail otherwise.
		"Idempotency-Key": {},
	}
	if cfg.Token != "" {
		if !headerSafe(cfg.Token) {
			return nil, fault.Permanent("destination_token_invalid",
				errors.New("the destination's token has a character that no header can carry: was it copied whole?"))
		}
		header.Set("Authorization", "Bearer "+cfg.Token)
	}
	return &Destination{base: base, header: header, transport: cfg.Transport, timeout: cfg.Timeout, batchSize: cfg.BatchSize}, nil
}

// Upsert puts the record once. Besides the errors of destination.Destination it returns ctx's own error if ctx ended
// first; its own timeout is the fault destination_timeout.
func (d *Destination) Upsert(ctx context.Context, record destination.Record) (destination.Result, error) {
	result, err := d.put(ctx, record)
	if err != nil {
		return destination.Result{}, fmt.Errorf("upsert: %w", err)
	}
	return result, nil
}

func (d *Destination) put(ctx context.Context, record destination.Record) (destination.Result, error) {
	target, err := d.target(record.ExternalID)
	if err != nil {
		return destination.Result{}, err
	}
	body, err := encode(record)
	if err != nil {
		return destination.Result{}, err
	}
	var result destination.Result
	err = d.send(ctx, http.MethodPut, target, body, func(resp *http.Response) error {
		result, err = read(ctx, resp, record.ExternalID)
		return err
	})
	return result, err
}

// Delete sends one DELETE {base}/users/{id}, with the errors of Upsert. The answers 404 and 410 mean that the record is not
// there, which is what was wanted.
func (d *Destination) Delete(ctx context.Context, externalUserID string) error {
	target, err := d.target(externalUserID)
	if err == nil {
		err = d.send(ctx, http.MethodDelete, target, nil, func(resp *http.Response) error { return readDeletion(ctx, resp) })
	}
	if err != nil {
		return fmt.Errorf("delete: %w", err)
	}
	return nil
}

// send sends one request and reads its answer within the timeout.
func (d *Destination) send(ctx context.Context, method string, target *url.URL, body []byte, read func(*http.Response) error) error {
	// One context for the timeout and for the gate: each that a request's context is made of costs as much as encoding the record.
	attempt, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(d.timeout, func() { cancel(context.DeadlineExceeded) })
	defer timer.Stop()
	attempt, gate := gated(attempt, cancel)
	req, err := http.NewRequestWithContext(attempt, method, "/", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	// All requests share one header: a transport may not change it, and a copy per request costs as much as the
	// record.
	req.URL, req.Host, req.Header = target, target.Host, d.header

	// Use the transport and not an http.Client: no redirects, no cookies, no *url.Error that quotes the URL.
	resp, err := d.transport.RoundTrip(req)
	if err != nil {
		return gate.fault(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // an error of Close does not change what was answered
	return read(resp)
}

// usable rejects an id that servers would treat as a path step: it would write to another place.
func usable(id string) error {
	if id == "" || id == "." || id == ".." {
		return destination.NewRejection(0, "external_id_unusable")
	}
	return nil
}

// target returns {base}/users/{id}, with the id escaped as one segment.
func (d *Destination) target(id string) (*url.URL, error) {
	if err := usable(id); err != nil {
		return nil, err
	}
	target := *d.base
	target.Path = d.base.Path + "/users/" + id
	target.RawPath = d.base.EscapedPath() + "/users/" + url.PathEscape(id)
	return &target, nil
}

// encode returns the record's JSON, with times in UTC. A record that cannot be encoded (a year beyond 9999) never can
// be.
func encode(record destination.Record) ([]byte, error) {
	record.SourceUpdatedAt = record.SourceUpdatedAt.UTC()
	if at := record.CustomFields.VomoCreatedAt; at != nil {
		utc := at.UTC()
		record.CustomFields.VomoCreatedAt = &utc
	}
	body, err := record.JSON()
	if err != nil { // the error's text may quote the record
		return nil, destination.NewRejection(0, "record_not_encodable")
	}
	return body, nil
}

// headerSafe reports whether s is visible ASCII, as a Bearer token must be.
func headerSafe(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}
