package dev

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
)

const askTimeout = 5 * time.Second

// errNotFound says that nobody by that name was onboarded.
var errNotFound = errors.New("not found")

// latestBackfill is a customer's newest run: errNotFound when there is none.
func latestBackfill(ctx context.Context, conn *nats.Conn, customer string) (report.Backfill, error) {
	var reply report.BackfillsReply
	err := ask(ctx, conn, service.APISubject("backfills", "ls"), report.BackfillsQuestion{CustomerID: customer}, &reply)
	if err != nil {
		return report.Backfill{}, err
	}
	if len(reply.Backfills) == 0 {
		return report.Backfill{}, fmt.Errorf("backfill of %s: %w", customer, errNotFound)
	}
	return reply.Backfills[0], nil
}

// statusOf is errNotFound for a customer whom nobody onboarded.
func statusOf(ctx context.Context, conn *nats.Conn, customer string) (report.Status, error) {
	var status report.Status
	err := ask(ctx, conn, service.APISubject("status", "get"), report.StatusQuestion{CustomerID: customer}, &status)
	return status, err
}

func ask(ctx context.Context, conn *nats.Conn, subject string, question, into any) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	payload, err := json.Marshal(question)
	if err != nil {
		return fmt.Errorf("ask %s: %w", subject, err)
	}
	answer, err := conn.RequestWithContext(ctx, subject, payload)
	if err != nil {
		return fmt.Errorf("ask %s: %w", subject, err)
	}
	switch code := answer.Header.Get(micro.ErrorCodeHeader); code {
	case "":
	case service.CodeNotFound:
		return fmt.Errorf("ask %s: %w", subject, errNotFound)
	default:
		return fmt.Errorf("ask %s: %s", subject, answer.Header.Get(micro.ErrorHeader))
	}
	if err := json.Unmarshal(answer.Data, into); err != nil {
		return fmt.Errorf("ask %s: read the answer: %w", subject, err)
	}
	return nil
}
