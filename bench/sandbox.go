package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

const longestAnswer = 1 << 20 // bytes

// sandbox is what simulates VOMO, CRMs and Virtuous. Each round has its own.
type sandbox struct{ address string }

func (s *sandbox) vomo() string                     { return s.address + "/vomo/v1" }
func (s *sandbox) crm(tenant string) string         { return s.address + "/crm/" + tenant }
func (s *sandbox) token(organisation string) string { return organisation + "-token" }

// organise creates an organisation.
func (s *sandbox) organise(ctx context.Context, name string, users int) error {
	request := map[string]any{"name": name, "token": s.token(name), "users": users, "seed": 7}
	if err := ask(ctx, http.MethodPost, s.address+"/control/orgs", request, nil); err != nil {
		return fmt.Errorf("make organisation: %w", err)
	}
	return nil
}

// requireMirrored compares an organisation with the tenant of the CRM that has its name, record by record.
func (s *sandbox) requireMirrored(ctx context.Context, name string, users int) error {
	var found struct{ Source, Same, Missing, Extra, Different int }
	query := url.Values{"org": {name}, "tenant": {name}}
	if err := ask(ctx, http.MethodGet, s.address+"/control/compare?"+query.Encode(), nil, &found); err != nil {
		return fmt.Errorf("compare source and destination: %w", err)
	}
	if found.Source != users || found.Same != users || found.Missing+found.Extra+found.Different != 0 {
		return fmt.Errorf("the mirror is not true: %+v of %d users", found, users)
	}
	return nil
}

// userID returns the id of an organisation's user, counted from 0.
func userID(number int) int { return 1001 + number }

// seen is what the sandbox saw since it started, by organisation and by tenant.
type seen struct {
	VOMO map[string]struct{ Requests int }
	CRM  map[string]struct{ Writes int }
}

func (s *sandbox) traffic(ctx context.Context) (found seen, err error) {
	if err := ask(ctx, http.MethodGet, s.address+"/control/report", nil, &found); err != nil {
		return seen{}, fmt.Errorf("read what the sandbox saw: %w", err)
	}
	return found, nil
}

// ask sends one JSON request and decodes the JSON answer, if into is not nil.
func ask(ctx context.Context, method, address string, body, into any) error {
	var content io.Reader = http.NoBody
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("encode request: %w", err)
		}
		content = bytes.NewReader(encoded)
	}
	request, err := http.NewRequestWithContext(ctx, method, address, content)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // no proxy: everything is on this machine
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }() // the body was only read
	if response.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s answers %s", address, response.Status)
	}
	if into == nil {
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, longestAnswer)).Decode(into); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}
