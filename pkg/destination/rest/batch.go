package rest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/fault"
)

// again are the codes of a record that may be accepted later, from destinations that send no status.
func again() []string {
	return []string{"unavailable", "timeout", "rate_limited", "throttled", "internal", "internal_error", "server_error", "try_again"}
}

type batchAnswer struct {
	Results []json.RawMessage `json:"results"`
}

// BatchSize returns the configured size.
func (d *Destination) BatchSize() int { return d.batchSize }

// UpsertBatch posts the records once. If the answer does not have exactly one result per record, it is broken as a
// whole, because the results could not be assigned.
func (d *Destination) UpsertBatch(ctx context.Context, records []destination.Record) ([]destination.BatchResult, error) {
	results, err := d.post(ctx, records)
	if err != nil {
		return nil, fmt.Errorf("upsert batch: %w", err)
	}
	return results, nil
}

func (d *Destination) post(ctx context.Context, records []destination.Record) ([]destination.BatchResult, error) {
	results := make([]destination.BatchResult, len(records))
	var users []json.RawMessage
	var sent []int // the index in records of each of users
	for i, record := range records {
		if results[i].Err = usable(record.ExternalID); results[i].Err != nil {
			continue
		}
		user, err := encode(record)
		if err != nil {
			results[i].Err = err
			continue
		}
		users, sent = append(users, user), append(sent, i)
	}
	if len(sent) == 0 {
		return results, nil
	}
	body, err := json.Marshal(map[string][]json.RawMessage{"users": users})
	if err != nil { // the error's text may quote a record
		return nil, fault.Permanent("destination_batch_not_encodable", errors.New("the batch cannot be written as JSON"))
	}
	target := *d.base
	target.Path, target.RawPath = d.base.Path+"/users:batchUpsert", d.base.EscapedPath()+"/users:batchUpsert"
	var answered []json.RawMessage
	var pause time.Duration
	var status int
	err = d.send(ctx, http.MethodPost, &target, body, func(resp *http.Response) error {
		pause, status = pauseOf(resp), resp.StatusCode
		answered, err = readBatch(ctx, resp, len(sent))
		return err
	})
	if err != nil {
		return nil, err
	}
	for i, at := range sent {
		results[at] = judge(answered[i], pause, records[at].ExternalID)
		results[at].Err = destination.WithAnswer(results[at].Err, status, answered[i])
		if errors.Is(results[at].Err, destination.ErrAuth) {
			return nil, results[at].Err
		}
	}
	return results, nil
}

// readBatch returns one result per record, or the fault of the whole request.
func readBatch(ctx context.Context, resp *http.Response, count int) ([]json.RawMessage, error) {
	body, err := readBody(resp.Body)
	if !succeeded(resp.StatusCode) {
		stale, err := rejectionOf(ctx, resp, body, err, "")
		if err == nil && stale.Stale { // a whole batch cannot be stale
			err = destination.NewRejection(resp.StatusCode, "stale")
		}
		return nil, err
	}
	if err != nil {
		return nil, transportFault(ctx, err)
	}
	if isPage(body) {
		return nil, pageForPeople(resp.StatusCode)
	}
	var answer batchAnswer
	if json.Unmarshal(bytes.TrimPrefix(body, []byte("\ufeff")), &answer) != nil || len(answer.Results) != count {
		return nil, fault.Unknown("destination_broken_answer", errors.New("the destination answered a batch with another number of results"))
	}
	top, entries := partsOf(body)
	if _, failed := failureIn(top); failed && !slices.ContainsFunc(entries, func(entry object) bool { _, one := failureIn(entry); return one }) {
		return nil, unclearAnswer(resp.StatusCode, "errors of which no result speaks")
	}
	return answer.Results, nil
}

// judge returns what one result of a batch means.
func judge(raw json.RawMessage, pause time.Duration, externalID string) destination.BatchResult {
	var entry object
	if json.Unmarshal(raw, &entry) != nil {
		return unclear()
	}
	why, failed := failureIn(entry)
	if !failed {
		if id := idIn(entry); id != "" {
			return destination.BatchResult{Result: destination.Result{ExternalUserID: id}}
		}
		return unclear()
	}
	result, err := meaningOf(why, cmp.Or(why.status, http.StatusUnprocessableEntity), pause, externalID)
	return destination.BatchResult{Result: result, Err: err}
}

func unclear() destination.BatchResult {
	return destination.BatchResult{Err: fault.Unknown("destination_broken_answer",
		errors.New("the destination answered a record of a batch with neither id nor error"))}
}
