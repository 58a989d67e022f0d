package dev

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

const (
	sandboxTimeout = time.Minute
	sandboxAnswer  = 16 << 20 // bytes
)

// sandbox asks the sandbox's control API.
type sandbox struct {
	address string
	client  *http.Client
}

// comparison is what the sandbox finds when it compares an organisation with a tenant of its CRM, record by
// record.
type comparison struct {
	Source      int64              `json:"source"`
	Missing     int64              `json:"missing"`
	Extra       int64              `json:"extra"`
	Different   int64              `json:"different"`
	Differences []recordDifference `json:"differences"` // the first ones
	MissingIDs  []string           `json:"missingIds"`
	ExtraIDs    []string           `json:"extraIds"`
}

// recordDifference names the fields, never their values.
type recordDifference struct {
	ExternalID string   `json:"externalId"`
	Fields     []string `json:"fields"`
}

// traffic is what the sandbox's VOMO has seen of one organisation's token.
type traffic struct {
	Requests     int64     `json:"requests"`
	FirstAt      time.Time `json:"firstAt"`
	LastAt       time.Time `json:"lastAt"`
	MaxPerMinute int64     `json:"maxPerMinute"`
}

func (s *sandbox) compare(ctx context.Context, org, tenant string) (comparison, error) {
	var found comparison
	query := url.Values{"org": {org}, "tenant": {tenant}}
	if err := s.get(ctx, "/control/compare?"+query.Encode(), &found); err != nil {
		return comparison{}, fmt.Errorf("compare source and destination: %w", err)
	}
	return found, nil
}

// traffic is the zero value for an organisation that no request came for.
func (s *sandbox) traffic(ctx context.Context, org string) (traffic, error) {
	var seen struct {
		VOMO map[string]traffic `json:"vomo"`
	}
	if err := s.get(ctx, "/control/report", &seen); err != nil {
		return traffic{}, fmt.Errorf("ask what the sandbox saw: %w", err)
	}
	return seen.VOMO[org], nil
}

// edit gives the first users of an organisation another last name, and returns how many those are.
func (s *sandbox) edit(ctx context.Context, org string, users int) (edited int, err error) {
	type change struct {
		ID       json.Number `json:"id"`
		LastName string      `json:"last_name"` //nolint:tagliatelle // VOMO's name
	}
	path := "/control/orgs/" + url.PathEscape(org) + "/users"
	var edits []change
	err = s.do(ctx, http.MethodGet, path, nil, func(body io.Reader) error {
		for lines := json.NewDecoder(body); len(edits) < users && lines.More(); {
			var user change
			if err := lines.Decode(&user); err != nil {
				return err
			}
			user.LastName = "Edited " + time.Now().UTC().Format("15:04:05")
			edits = append(edits, user)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("list users of the sandbox: %w", err)
	}
	body, err := json.Marshal(map[string]any{"edits": edits})
	if err != nil {
		return 0, fmt.Errorf("encode edits: %w", err)
	}
	if err := s.do(ctx, http.MethodPost, path+":batch", bytes.NewReader(body), func(io.Reader) error { return nil }); err != nil {
		return 0, fmt.Errorf("edit users of the sandbox: %w", err)
	}
	return len(edits), nil
}

func (s *sandbox) get(ctx context.Context, path string, into any) error {
	return s.do(ctx, http.MethodGet, path, nil, func(body io.Reader) error { return json.NewDecoder(body).Decode(into) })
}

func (s *sandbox) do(ctx context.Context, method, path string, body io.Reader, read func(io.Reader) error) error {
	ctx, cancel := context.WithTimeout(ctx, sandboxTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, s.address+path, body)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	answer, err := s.client.Do(request)
	if err != nil {
		return err //nolint:wrapcheck // it names method and address
	}
	defer func() { _ = answer.Body.Close() }() // it was only read
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("the sandbox answers %d", answer.StatusCode)
	}
	if err := read(io.LimitReader(answer.Body, sandboxAnswer)); err != nil {
		return fmt.Errorf("read the sandbox's answer: %w", err)
	}
	return nil
}
