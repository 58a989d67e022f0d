package dev

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
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

// comparison is the sandbox's comparison of an organisation with a tenant of its CRM, record by record.
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

// traffic counts the requests to the sandbox's VOMO with one organisation's token.
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

// traffic returns the zero value for an organisation without requests.
func (s *sandbox) traffic(ctx context.Context, org string) (traffic, error) {
	var seen struct {
		VOMO map[string]traffic `json:"vomo"`
	}
	if err := s.get(ctx, "/control/report", &seen); err != nil {
		return traffic{}, fmt.Errorf("ask what the sandbox saw: %w", err)
	}
	return seen.VOMO[org], nil
}

// edit changes the last name of the first users of an organisation, and returns how many users it changed.
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

const (
	// Fewer requests make no useful rate.
	fewestRequests = 10
	shownRecords   = 5
)

// errDifferences means that the mirror differs from the source.
var errDifferences = errors.New("source and destination differ")

// line returns the result in one line.
func (c comparison) line() string {
	differences := c.differences()
	word := "differences"
	if differences == 1 {
		word = "difference"
	}
	return fmt.Sprintf("%s of %s users mirrored, %s %s",
		humanize.Comma(c.Source-c.Missing), humanize.Comma(c.Source), humanize.Comma(differences), word)
}

func (c comparison) differences() int64 { return c.Missing + c.Extra + c.Different }

// details returns the first records of each kind of difference.
func (c comparison) details() []string {
	var lines []string
	for _, id := range c.MissingIDs[:min(shownRecords, len(c.MissingIDs))] {
		lines = append(lines, id+" is missing in the destination")
	}
	for _, id := range c.ExtraIDs[:min(shownRecords, len(c.ExtraIDs))] {
		lines = append(lines, id+" has no user in the source")
	}
	for _, record := range c.Differences[:min(shownRecords, len(c.Differences))] {
		lines = append(lines, record.ExternalID+" differs in "+strings.Join(record.Fields, ", "))
	}
	return lines
}

// perMinute returns the rate between the first and the last request, and false for too few requests.
func (t traffic) perMinute() (float64, bool) {
	took := t.LastAt.Sub(t.FirstAt).Minutes()
	if t.Requests < fewestRequests || took <= 0 {
		return 0, false
	}
	return float64(t.Requests-1) / took, true
}

// rateLine says how much of the allowed rate was used, or "" for too few requests.
func (t traffic) rateLine(allowedPerMinute float64) string {
	rate, ok := t.perMinute()
	if !ok {
		return ""
	}
	// The share is rounded down, so that it never says that a limit was reached if it was not.
	return fmt.Sprintf("rate: %s of %s requests a minute allowed (%.0f %%), never more than %s in any sliding minute",
		decimal(rate), strconv.FormatFloat(allowedPerMinute, 'f', -1, 64), math.Floor(100*rate/allowedPerMinute), humanize.Comma(t.MaxPerMinute))
}

func decimal(value float64) string { return strconv.FormatFloat(value, 'f', 1, 64) }
