package dev

import (
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

func (s *sandbox) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, sandboxTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address+path, nil)
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
	if err := json.NewDecoder(io.LimitReader(answer.Body, sandboxAnswer)).Decode(into); err != nil {
		return fmt.Errorf("read the sandbox's answer: %w", err)
	}
	return nil
}
