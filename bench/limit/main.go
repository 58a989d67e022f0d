// Command limit does the least durable work that produces the same mirror as a backfill: it reads the pages of an
// organisation, puts each user to the destination, and writes mapping and audit rows in one transaction per page. It
// keeps no cursor, no lease and no budget, retries nothing, compares nothing and ends at the first error. The time it
// takes is the time of the work itself.
//
// It reads jobs from standard input, one JSON object per line, does all that it has at once, and answers each with a line when it is done.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"
)

// garbagePercent is the services' value, so that both programs are compared with the same.
const garbagePercent = 250

func main() {
	debug.SetGCPercent(garbagePercent)
	if err := serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "limit:", err) // there is no other place to report it
		os.Exit(1)
	}
}

// job is one organisation to mirror.
type job struct {
	Customer    string `json:"customer"`
	VOMO        string `json:"vomo"` // the API's root
	Token       string `json:"token"`
	Destination string `json:"destination"`
}

// done is the answer to a job.
type done struct {
	Users int `json:"users"`
}

func serve(ctx context.Context, in io.Reader, out io.Writer) error {
	pool, err := pgxpool.New(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return fmt.Errorf("open pool: %w", err)
	}
	defer pool.Close()
	m := &mirror{pool: pool, transport: newTransport(), writes: make(chan struct{}, writesAtOnce)}
	var answering sync.Mutex
	answers := json.NewEncoder(out)
	group, working := errgroup.WithContext(ctx)
	jobs := make(chan job)
	var reading error
	go func() {
		reading = read(working, in, jobs)
		close(jobs)
	}()
	for {
		select {
		case <-working.Done(): // a job failed
			return group.Wait()
		case j, more := <-jobs:
			if !more {
				return errors.Join(group.Wait(), reading)
			}
			group.Go(func() error {
				users, err := m.run(working, j)
				if err != nil {
					return fmt.Errorf("mirror %s: %w", j.Customer, err)
				}
				answering.Lock()
				defer answering.Unlock()
				return answers.Encode(done{Users: users})
			})
		}
	}
}

// read reads jobs until there are no more, or the program ends.
func read(ctx context.Context, in io.Reader, into chan<- job) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var j job
		if err := json.Unmarshal(lines.Bytes(), &j); err != nil {
			return fmt.Errorf("read job: %w", err)
		}
		select {
		case into <- j:
		case <-ctx.Done():
			return nil
		}
	}
	return lines.Err()
}
