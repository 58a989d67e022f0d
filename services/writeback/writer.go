package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/job"
	"rollcall.dev/pkg/round"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

const (
	jobWriteback = "writeback"
	// rowsPerRound bounds how long a customer keeps the lane and a slot.
	rowsPerRound = 15
	// forbiddenPause is how long rows wait after VOMO accepted the token and did not let it write.
	forbiddenPause = 15 * time.Minute
)

// writer writes the values of rows to VOMO.
type writer struct {
	store   *store.Store
	metrics *metrics
}

// kind returns the rounds in which rows are written. A hold is in the table, so that it outlives the process.
func (w *writer) kind() round.Kind {
	return round.Kind{
		Job: jobWriteback, Look: w.look, Work: w.work, StoreHold: storeHold, DeleteHold: w.store.ReleaseWritebacks, LookSkipsHeld: true,
		Ended: func(_ string, end round.End) { w.metrics.held(end.Reason) },
	}
}

func (w *writer) look(ctx context.Context) ([]round.Customer, error) {
	ids, err := w.store.WritebackCustomers(ctx)
	customers := make([]round.Customer, 0, len(ids))
	for _, id := range ids {
		customers = append(customers, round.Customer{ID: id})
	}
	return customers, err
}

func storeHold(ctx context.Context, tx *store.Tx, customer string, park job.Park, detail string) error {
	if park.Reason == event.AlertWritebackForbidden {
		if err := event.Raise(ctx, tx, event.AlertFor(customer, park.Reason)); err != nil {
			return err
		}
	}
	return tx.HoldWritebacks(ctx, customer, park.Reason, detail, park.Delay)
}

// batch is what one round writes.
type batch struct {
	*round.Round

	metrics     *metrics
	settings    store.WriteBack
	rewriteOwed bool
	open        func(sealed []byte) ([]byte, error)
	seal        func(plain []byte) ([]byte, error) // review details
	hasWritten  bool                               // VOMO accepted a write
}

// work writes up to rowsPerRound rows of the customer, one after the other.
func (w *writer) work(ctx context.Context, of *round.Round) (more bool, err error) {
	rows, err := w.store.WaitingWritebacks(ctx, of.Customer.ID, rowsPerRound)
	if err != nil || len(rows) == 0 {
		return false, err
	}
	b := &batch{Round: of, metrics: w.metrics}
	if err := b.begin(ctx); err != nil {
		return false, err
	}
	for i, row := range rows {
		if i > 0 && b.MustEnd(ctx) {
			break
		}
		if err := b.workRow(ctx, row); err != nil {
			return false, err
		}
	}
	b.Log.Info("write-backs worked", zap.Int("users", b.Worked), zap.Int("failed", b.Failed), zap.String("trace", b.TraceID))
	return len(rows) == rowsPerRound, nil
}

// begin reads what the rows have in common, and opens both sides.
func (b *batch) begin(ctx context.Context) error {
	var err error
	if b.settings, err = b.Customer.WritesBack(); err != nil {
		return err
	}
	before, err := b.Store.WritebackHoldOf(ctx, b.Customer.ID)
	if err != nil {
		return err
	}
	if before != nil {
		b.Holds = before.Holds
	}
	owed, err := b.Store.RewriteOwed(ctx, b.Customer.ID)
	if err != nil {
		return err
	}
	b.rewriteOwed = owed != nil
	if err := b.StartJob(ctx); err != nil {
		return err
	}
	if err := b.Open(ctx); err != nil {
		return err
	}
	if b.open, err = b.Connect.Vault.Opener(ctx, b.Customer.ID, purposeValues); err != nil {
		return fmt.Errorf("open customer's key: %w", err)
	}
	if b.seal, err = b.Connect.Vault.Sealer(ctx, b.Customer.ID, purposeDetails); err != nil {
		return fmt.Errorf("open customer's key: %w", err)
	}
	return nil
}

// faultOf returns what stopped a request to VOMO. A rejected token is confirmed first.
func (b *batch) faultOf(ctx context.Context, err error, write bool) error {
	if !errors.Is(err, vomo.ErrUnauthorized) && !errors.Is(err, vomo.ErrForbidden) {
		return err
	}
	confirmed := b.Connect.Confirm(ctx, b.Customer, b.Lease, jobWriteback, err)
	if write && errors.Is(err, vomo.ErrForbidden) && fault.CodeOf(confirmed) == "vomo_auth_unconfirmed" {
		return &round.HoldError{
			Park: job.Park{Reason: event.AlertWritebackForbidden, Delay: forbiddenPause},
			Err:  errors.New("VOMO lets the token read users and does not let it write them"),
		}
	}
	return confirmed
}
