package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
)

// profiledPerSecond is an upper limit of the users mirrored per second: a profile must end before its round.
const profiledPerSecond = 10_000

// profile takes profiles of the backfill worker while it works, if requested: its CPU time and its allocations. The
// channel receives the result once.
func (e *environment) profile(ctx context.Context, played subject, name string) <-chan error {
	taken := make(chan error, 1)
	rollcall, isProduct := played.(*installation)
	if e.opts.profiles == "" || !isProduct {
		taken <- nil
		return taken
	}
	seconds := max(1, min(30, e.opts.users/profiledPerSecond))
	from := rollcall.health[partBackfill] + "/debug/pprof/"
	to := filepath.Join(e.opts.profiles, name)
	go func() {
		taken <- errors.Join(
			save(ctx, from+"profile?seconds="+strconv.Itoa(seconds), to+".cpu.pprof"),
			save(ctx, from+"allocs", to+".allocs.pprof"),
		)
	}()
	return taken
}

// save writes an answer to a file.
func save(ctx context.Context, address, file string) (err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return fmt.Errorf("make request: %w", err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("take profile: %w", err)
	}
	defer func() { _ = response.Body.Close() }() // the body was only read
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("take profile: %s", response.Status)
	}
	out, err := os.Create(file) //nolint:gosec // G304: the folder that the caller asks for
	if err != nil {
		return fmt.Errorf("keep profile: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, response.Body)
	return err
}
