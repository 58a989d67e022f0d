package main

import (
	"context"
	"sync"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/store"
)

const (
	// alertFailures is how many wrong signatures in a row raise the alert. Each process counts on its own, in memory: a rejected request
	// must cost no write.
	alertFailures = 10
	// alertWithin is in how long they must come, so that a stray request now and then raises nothing.
	alertWithin = time.Hour
)

// failureCounts counts wrong signatures of customers that have a secret, since the last right one.
type failureCounts struct {
	mu   sync.Mutex
	rows map[string]failureCount
}

type failureCount struct {
	since  time.Time
	number int
}

// add counts one, and reports whether it is the one that raises the alert.
func (f *failureCounts) add(customer string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rows == nil {
		f.rows = map[string]failureCount{}
	}
	count := f.rows[customer]
	if count.number == 0 || now.Sub(count.since) > alertWithin {
		count = failureCount{since: now}
	}
	count.number++
	f.rows[customer] = count
	return count.number == alertFailures
}

func (f *failureCounts) forget(customer string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.rows, customer)
}

// noteWrongSignature counts a rejected delivery, and raises the alert when there are many in a row. A failure is logged: the answer
// stays 401.
func (r *receiver) noteWrongSignature(ctx context.Context, customer string) {
	if !r.failures.add(customer, r.now()) {
		return
	}
	if err := r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		return event.Raise(ctx, tx, event.AlertFor(customer, event.AlertWebhookSignatures))
	}); err != nil {
		r.failures.forget(customer) // the next ones raise it
		r.logger.Warn("alert about wrong signatures not raised", zap.String("customer", customer), zap.Error(err))
	}
}

// clearSignatureAlert clears the alert after a delivery with a right signature.
func (r *receiver) clearSignatureAlert(ctx context.Context, customer string) {
	active, err := r.store.HasActiveAlert(ctx, customer, event.AlertWebhookSignatures)
	if err == nil && active {
		err = r.store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
			return event.Clear(ctx, tx, customer, event.AlertWebhookSignatures, "A webhook with a right signature has come.")
		})
	}
	if err != nil {
		r.logger.Warn("alert about wrong signatures not cleared", zap.String("customer", customer), zap.Error(err))
	}
}
