package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

const (
	pagesAtOnce  = 4
	writesAtOnce = 16
)

// mirror writes pages to the destination and to Postgres, several at once and in any order.
type mirror struct {
	pool      *pgxpool.Pool
	transport *http.Transport
	writes    chan struct{} // one slot for each write in progress
}

func newTransport() *http.Transport {
	return &http.Transport{MaxIdleConns: 64, MaxIdleConnsPerHost: 64, DisableCompression: true}
}

// run mirrors an organisation and returns how many users it found.
func (m *mirror) run(ctx context.Context, j job) (int, error) {
	first, err := m.read(ctx, j, 1)
	if err != nil {
		return 0, err
	}
	last := 1
	if size := len(first.Data); size > 0 {
		last = (first.Meta.Total + size - 1) / size
	}
	var users atomic.Int64
	group, grouped := errgroup.WithContext(ctx)
	group.SetLimit(pagesAtOnce)
	for number := 1; number <= last; number++ {
		group.Go(func() error {
			read := first
			if number > 1 {
				var err error
				if read, err = m.read(grouped, j, number); err != nil {
					return err
				}
			}
			users.Add(int64(len(read.Data)))
			return m.writePage(grouped, j, read)
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	return int(users.Load()), nil
}

// writePage puts a page's users to the destination and commits the page.
func (m *mirror) writePage(ctx context.Context, j job, read page) error {
	rows := make([]row, len(read.Data))
	group, grouped := errgroup.WithContext(ctx)
	for i, u := range read.Data {
		m.writes <- struct{}{}
		group.Go(func() error {
			defer func() { <-m.writes }()
			var err error
			rows[i], err = m.put(grouped, j, u)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return m.commit(ctx, j.Customer, rows)
}

func (m *mirror) read(ctx context.Context, j job, number int) (page, error) {
	var read page
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, j.VOMO+"/users?page="+strconv.Itoa(number), http.NoBody)
	if err != nil {
		return page{}, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+j.Token)
	if err := m.ask(request, &read); err != nil {
		return page{}, fmt.Errorf("read page %d: %w", number, err)
	}
	return read, nil
}

func (m *mirror) put(ctx context.Context, j job, u user) (row, error) {
	id := strconv.FormatInt(u.ID, 10)
	body, err := json.Marshal(u.record(id))
	if err != nil {
		return row{}, fmt.Errorf("encode record: %w", err)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPut, j.Destination+"/users/vomo-"+id, bytes.NewReader(body))
	if err != nil {
		return row{}, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	var answer struct {
		ID string `json:"id"`
	}
	if err := m.ask(request, &answer); err != nil {
		return row{}, fmt.Errorf("write user: %w", err)
	}
	return newRow(id, answer.ID, u, body), nil
}

func (m *mirror) ask(request *http.Request, into any) error {
	response, err := m.transport.RoundTrip(request)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return errors.New(response.Status)
	}
	return json.Unmarshal(body, into)
}
