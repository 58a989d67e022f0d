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

	"golang.org/x/sync/errgroup"
)

// profile takes profiles of the services while they work, if requested: their CPU time and their allocations. The channel receives the
// result once, after the round if that is shorter: what does nothing adds nothing to a profile.
func (i *installation) profile(ctx context.Context) <-chan error {
	taken := make(chan error, 1)
	folder := i.environment.opts.profiles
	if folder == "" {
		taken <- nil
		return taken
	}
	seconds := max(1, int(i.environment.opts.profileFor.Seconds()))
	group, grouped := errgroup.WithContext(ctx)
	for part, address := range i.health {
		group.Go(func() error {
			from, to := address+"/debug/pprof/", filepath.Join(folder, i.name+"."+part)
			return errors.Join(
				save(grouped, from+"profile?seconds="+strconv.Itoa(seconds), to+".cpu.pprof"), save(grouped, from+"allocs", to+".allocs.pprof"),
			)
		})
	}
	go func() { taken <- group.Wait() }()
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
