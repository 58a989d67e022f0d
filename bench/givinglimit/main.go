// Command givinglimit does the least durable work for what the services of giving do: it receives signed deliveries and publishes them,
// applies delivered gifts to the tables, and captures donations. It seals nothing, compares nothing, retries nothing and ends at the first
// error. The time it takes is the time of the work itself.
//
// It reads jobs from standard input, one JSON object per line, and answers each with a line when it is done; a receiver goes on until the
// input ends.
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

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall.dev/pkg/bus"
)

// garbagePercent is the services' value, so that both programs are compared with the same.
const garbagePercent = 250

func main() {
	debug.SetGCPercent(garbagePercent)
	if err := serve(context.Background(), os.Stdin, os.Stdout); err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "givinglimit:", err) // there is no other place to report it
		os.Exit(1)
	}
}

// job is what to do.
type job struct {
	Do       string `json:"do"`       // receive, apply, capture or erase
	Secret   string `json:"secret"`   // receive: of all customers
	Messages int    `json:"messages"` // the others: how many
}

// limit has the connections.
type limit struct {
	pool   *pgxpool.Pool
	stream jetstream.JetStream
}

func serve(ctx context.Context, in io.Reader, out io.Writer) error {
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return fmt.Errorf("read DATABASE_URL: %w", err)
	}
	config.MaxConns = atOnce
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("open pool: %w", err)
	}
	defer pool.Close()
	conn, err := nats.Connect(os.Getenv("NATS_URL"))
	if err != nil {
		return fmt.Errorf("connect to NATS: %w", err)
	}
	defer conn.Close()
	l := &limit{pool: pool}
	if l.stream, err = jetstream.New(conn); err != nil {
		return fmt.Errorf("open JetStream: %w", err)
	}
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var j job
		if err := json.Unmarshal(lines.Bytes(), &j); err != nil {
			return fmt.Errorf("read job: %w", err)
		}
		answer, err := l.work(ctx, j)
		if err != nil {
			return fmt.Errorf("%s: %w", j.Do, err)
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
	return lines.Err()
}

func (l *limit) work(ctx context.Context, j job) (answer string, err error) {
	switch j.Do {
	case "receive":
		return l.receive(ctx, j.Secret)
	case "apply":
		return "applied", l.takeOut(ctx, bus.StreamWebhooks, bus.DurableWebhooks, j.Messages, l.apply)
	case "capture", "erase":
		stream, err := l.stream.Stream(ctx, bus.StreamDonations)
		if err != nil {
			return "", fmt.Errorf("look up stream: %w", err)
		}
		return "taken out", l.takeOut(ctx, bus.StreamDonations, bus.DurableDonations, j.Messages, func(ctx context.Context, message jetstream.Msg) error {
			if j.Do == "capture" {
				if err := l.capture(ctx, message); err != nil {
					return err
				}
			}
			return erase(ctx, stream, message)
		})
	}
	return "", errors.New("there is no such job")
}
