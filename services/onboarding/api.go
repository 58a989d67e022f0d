package main

import (
	"context"
	"errors"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// answerOperators answers operators' requests about status, customers, config, backfills, requests, the audit and the key.
func answerOperators(s *service.Service, operators *operators, messages bus.CustomerMessages,
	created func(ctx context.Context, stream string) (time.Time, error),
) error {
	return errors.Join(
		service.Answer(s, "status", "get", func(ctx context.Context, question report.StatusQuestion) (report.Status, error) {
			if err := checkCustomerID(question.CustomerID); err != nil {
				return report.Status{}, err
			}
			return report.StatusUnder(ctx, s.Store, question.CustomerID, operators.limits)
		}),
		service.Answer(s, "backfills", "ls", func(ctx context.Context, question operatorapi.BackfillsQuestion) (operatorapi.BackfillsReply, error) {
			if question.CustomerID != "" {
				if err := checkCustomerID(question.CustomerID); err != nil {
					return operatorapi.BackfillsReply{}, err
				}
			}
			return report.Backfills(ctx, s.Store, question)
		}),
		service.Answer(s, "customers", "ls", func(ctx context.Context, question operatorapi.CustomersQuestion) (operatorapi.CustomersReply, error) {
			return report.Customers(ctx, s.Store, question)
		}),
		answerBoard(s, operators.limits),
		service.Answer(s, "offboardings", "get", func(ctx context.Context, question operatorapi.OffboardingQuestion) (operatorapi.Offboarding, error) {
			if err := checkCustomerID(question.CustomerID); err != nil {
				return operatorapi.Offboarding{}, err
			}
			return report.Offboarding(ctx, s.Store, question.CustomerID, s.Config.OffboardRetention, messages.Count)
		}),
		service.Answer(s, "customers", "pause", operators.pauseCustomer),
		service.Answer(s, "customers", "resume", operators.resumeCustomer),
		service.Answer(s, "config", "get", func(ctx context.Context, question operatorapi.ConfigQuestion) (operatorapi.Config, error) {
			if err := checkCustomerID(question.CustomerID); err != nil {
				return operatorapi.Config{}, err
			}
			return report.ConfigOf(ctx, s.Store.Conn, question.CustomerID)
		}),
		service.Answer(s, "config", "set", operators.setConfig),
		service.Answer(s, "backfills", "start", operators.startBackfill),
		service.Answer(s, "backfills", "pause", operators.pauseBackfill),
		service.Answer(s, "backfills", "cancel", operators.cancelBackfill),
		service.Answer(s, "requests", "get", func(ctx context.Context, question operatorapi.RequestQuestion) (operatorapi.Request, error) {
			streamCreated, err := created(ctx, bus.StreamOnboarding)
			if err != nil {
				return operatorapi.Request{}, err
			}
			return report.RequestOf(ctx, s.Store, store.Origin{StreamCreated: streamCreated, Sequence: question.Sequence})
		}),
		service.Answer(s, "audit", "ls", func(ctx context.Context, question operatorapi.ActsQuestion) (operatorapi.ActsReply, error) {
			return report.Acts(ctx, s.Store, question)
		}),
		service.Answer(s, "key", "get", func(ctx context.Context, _ struct{}) (operatorapi.KeyReply, error) {
			public, err := s.Vault.PublicXKey(ctx)
			return operatorapi.KeyReply{PublicKey: public}, err
		}),
	)
}

func checkCustomerID(customer string) error {
	if !rollcallv1.ValidCustomerID(customer) {
		return &service.BadRequestError{Text: "that is no customer id: 1 to 63 characters of a-z, 0-9, _ and -"}
	}
	return nil
}
