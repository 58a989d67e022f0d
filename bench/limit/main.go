// Command limit does the least durable work that produces the same mirror as a backfill: it reads the pages of an
// organisation, puts each user to the destination, and writes mapping and audit rows in one transaction per page. It
// keeps no cursor, no lease and no budget, retries nothing, compares nothing and ends at the first error. The time it
// takes is the time of the work itself.
//
// It reads jobs from standard input, one JSON object per line, and answers each with a line when it is done.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"runtime/debug"

	"github.com/jackc/pgx/v5/pgxpool"
)

// garbagePercent is the services' value, so that both programs are compared with the same.
const garbagePercent = 400

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
	lines := bufio.NewScanner(in)
	answers := json.NewEncoder(out)
	for lines.Scan() {
		var j job
		if err := json.Unmarshal(lines.Bytes(), &j); err != nil {
			return fmt.Errorf("read job: %w", err)
		}
		users, err := m.run(ctx, j)
		if err != nil {
			return fmt.Errorf("mirror %s: %w", j.Customer, err)
		}
		if err := answers.Encode(done{Users: users}); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
	return lines.Err()
}
