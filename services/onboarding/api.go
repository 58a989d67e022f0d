package main

import (
	"context"
	"errors"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// answerOperators answers the nouns that this service owns: status, customers, config, backfills, requests,
// key.
func answerOperators(s *service.Service, operators *operators, created func(ctx context.Context, stream string) (time.Time, error)) error {
	return errors.Join(
		service.Answer(s, "status", "get", func(ctx context.Context, question report.StatusQuestion) (report.Status, error) {
			if err := readable(question.CustomerID); err != nil {
				return report.Status{}, err
			}
			return report.StatusUnder(ctx, s.Store, question.CustomerID, operators.limits)
		}),
		service.Answer(s, "backfills", "ls", func(ctx context.Context, question report.BackfillsQuestion) (report.BackfillsReply, error) {
			if question.CustomerID != "" {
				if err := readable(question.CustomerID); err != nil {
					return report.BackfillsReply{}, err
				}
			}
			return report.Backfills(ctx, s.Store, question)
		}),
		service.Answer(s, "customers", "ls", func(ctx context.Context, question report.CustomersQuestion) (report.CustomersReply, error) {
			return report.Customers(ctx, s.Store, question)
		}),
		service.Answer(s, "customers", "pause", operators.pauseCustomer),
		service.Answer(s, "customers", "resume", operators.resumeCustomer),
		service.Answer(s, "config", "get", func(ctx context.Context, question report.ConfigQuestion) (report.Config, error) {
			if err := readable(question.CustomerID); err != nil {
				return report.Config{}, err
			}
			return report.ConfigOf(ctx, s.Store.Conn, question.CustomerID)
		}),
		service.Answer(s, "config", "set", operators.setConfig),
		service.Answer(s, "backfills", "start", operators.startBackfill),
		service.Answer(s, "backfills", "pause", operators.pauseBackfill),
		service.Answer(s, "backfills", "cancel", operators.cancelBackfill),
		service.Answer(s, "requests", "get", func(ctx context.Context, question report.RequestQuestion) (report.Request, error) {
			streamCreated, err := created(ctx, bus.StreamOnboarding)
			if err != nil {
				return report.Request{}, err
			}
			return report.RequestOf(ctx, s.Store, store.Origin{StreamCreated: streamCreated, Sequence: question.Sequence})
		}),
		service.Answer(s, "key", "get", func(ctx context.Context, _ struct{}) (report.KeyReply, error) {
			public, err := s.Vault.PublicXKey(ctx)
			return report.KeyReply{PublicKey: public}, err
		}),
	)
}

func readable(customer string) error {
	if !rollcallv1.ValidCustomerID(customer) {
		return &service.BadRequestError{Text: "that is no customer id: 1 to 63 characters of a-z, 0-9, _ and -"}
	}
	return nil
}
