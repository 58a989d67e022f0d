// Package rest is the destination of kind "rest": any system that takes PUT {base}/users/{external_id}, and
// perhaps POST {base}/users:batchUpsert.
//
// It owns the HTTP request, what each answer means, and the shared transport. It promises that a redirect is
// never followed (the token would go with it), that no answer is read beyond 1 MiB, and that no error's
// text holds the URL, the token, or a word that the destination wrote other than a short code: what it answered is kept
// apart, see destination.AnswerOf. It makes one attempt:
// retries and the circuit breaker are destination.Guard's.
package rest

import (
	"bytes"
	"context"
	"encoding/json"
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

// Config is what a REST destination needs.
type Config struct {
	URL       string            // the base; "/users/{external_id}" is put behind it
	Token     string            // sent as Bearer; "" sends no Authorization
	Transport http.RoundTripper // shared, see NewTransport; nil makes one for this destination alone, for public addresses
	Timeout   time.Duration     // of one attempt, from connecting to the answer's last byte; default 10 s
	UserAgent string            // default "rollcall"
	BatchSize int               // records of one POST {base}/users:batchUpsert at most; below 2: one PUT a record
}

// Destination writes users to one REST system. It may be used by many goroutines at once.
type Destination struct {
	base      *url.URL
	header    http.Header
	transport http.RoundTripper
	timeout   time.Duration
	batchSize int
}

var _ destination.Batcher = (*Destination)(nil)

// Factory makes REST destinations that share common's transport, timeout and user agent; URL and token come
// from each customer's settings. The URL is checked by destination.CheckURL under private.
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

// New gives the destination at cfg.URL. Whether its address may be private is not asked here: Factory does.
// Its errors are permanent faults, destination_url_invalid and destination_token_invalid.
func New(cfg Config) (*Destination, error) {
	if err := destination.CheckURL(cfg.URL, destination.PrivateAccess{All: true}); err != nil {
		return nil, err
	}
	base, err := url.Parse(strings.TrimRight(cfg.URL, "/"))
	if err != nil { // CheckURL parsed it; url.Parse's own error would quote it
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
		// Present but empty: nothing is sent, and net/http knows that the request may be sent again when a
		// kept-alive connection turns out to be closed. A PUT with a body would be an error otherwise.
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

// Upsert puts the record, once. Besides the errors of destination.Destination it gives ctx's own error when
// ctx ended first; a timeout of its own is the fault destination_timeout.
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

// send makes one request and has its answer read while there is time for it.
func (d *Destination) send(ctx context.Context, method string, target *url.URL, body []byte, read func(*http.Response) error) error {
	attempt, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	attempt, gate := gated(attempt)
	req, err := http.NewRequestWithContext(attempt, method, "/", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	// One header for all: a transport may not change it, and a copy for each request costs as much as the record.
	req.URL, req.Host, req.Header = target, target.Host, d.header

	// The transport itself, not an http.Client: no redirect, no cookie, no *url.Error that quotes the URL.
	resp, err := d.transport.RoundTrip(req)
	if err != nil {
		return gate.fault(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }() // nothing that Close may say changes what was answered
	return read(resp)
}

// usable refuses an id that servers would take for a step through the path: it would write to another place.
func usable(id string) error {
	if id == "" || id == "." || id == ".." {
		return destination.NewRefusal(0, "external_id_unusable")
	}
	return nil
}

// target is {base}/users/{id}, the id escaped as one segment.
func (d *Destination) target(id string) (*url.URL, error) {
	if err := usable(id); err != nil {
		return nil, err
	}
	target := *d.base
	target.Path = d.base.Path + "/users/" + id
	target.RawPath = d.base.EscapedPath() + "/users/" + url.PathEscape(id)
	return &target, nil
}

// encode gives the record's JSON, its times in UTC. What cannot be written (a year beyond 9999) never can.
func encode(record destination.Record) ([]byte, error) {
	record.SourceUpdatedAt = record.SourceUpdatedAt.UTC()
	if at := record.CustomFields.VomoCreatedAt; at != nil {
		utc := at.UTC()
		record.CustomFields.VomoCreatedAt = &utc
	}
	body, err := json.Marshal(record)
	if err != nil { // its text may quote the record
		return nil, destination.NewRefusal(0, "record_not_encodable")
	}
	return body, nil
}

// headerSafe tells whether s is visible ASCII, all that a Bearer token may be.
func headerSafe(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f {
			return false
		}
	}
	return true
}
