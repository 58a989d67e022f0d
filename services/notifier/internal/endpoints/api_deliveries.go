package endpoints

import (
	"context"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
)

// replayAtOnce is how many deliveries one question has sent again.
const replayAtOnce = 500

// deliveries lists an endpoint's deliveries. Answers are sealed: a list that shows one is audited.
func (a *API) deliveries(ctx context.Context, question operatorapi.EndpointDeliveriesQuestion) (operatorapi.EndpointDeliveriesReply, error) {
	reply := operatorapi.EndpointDeliveriesReply{Deliveries: []operatorapi.EndpointDelivery{}}
	switch question.State {
	case "", store.DeliveryPending, store.DeliveryDelivered, store.DeliveryFailed:
	default:
		return reply, &service.FieldsError{Errors: map[string][]string{"state": {"use pending, delivered or failed"}}}
	}
	if _, _, err := a.Sender.Store.Endpoint(ctx, question.ID); err != nil {
		return reply, err
	}
	before := store.DeliveryPlace{At: time.Date(9999, time.January, 1, 0, 0, 0, 0, time.UTC), ID: uuid.Max}
	if question.Before != nil {
		var err error
		if before, err = placeOf(*question.Before); err != nil {
			return reply, err
		}
	}
	limit := pageSize(question.Limit)
	found, err := a.Sender.Store.Deliveries(ctx, question.ID, question.State, before, limit+1)
	if err != nil {
		return reply, err
	}
	openers := map[string]func([]byte) *string{}
	for _, one := range found[:min(len(found), int(limit))] {
		line := operatorapi.EndpointDelivery{
			ID: one.ID.String(), EventID: one.EventID, CustomerID: one.Customer, Topic: one.Topic, State: one.State, Attempts: one.Attempts,
			CreatedAt: one.CreatedAt, NextAttemptAt: one.NextAttemptAt, RetryUntil: one.RetryUntil, LastAttemptAt: one.LastAttemptAt,
			Status: statusOf(one.LastStatus), SettledAt: one.SettledAt,
		}
		if one.LastError != "" {
			line.Code = &one.LastError
		}
		if line.Answer = a.answer(ctx, openers, one); line.Answer != nil {
			service.Disclosed(ctx)
		}
		reply.Deliveries = append(reply.Deliveries, line)
	}
	if len(found) > int(limit) {
		last := found[limit-1]
		reply.Next = &operatorapi.EndpointPlace{CreatedAt: last.CreatedAt, ID: last.ID.String()}
	}
	return reply, nil
}

// answer opens the answer to a delivery; nil if there is none, or if the customer's key is gone.
func (a *API) answer(ctx context.Context, openers map[string]func([]byte) *string, one store.EndpointDelivery) *string {
	if len(one.AnswerSealed) == 0 {
		return nil
	}
	open, known := openers[one.Customer]
	if !known {
		opener, err := a.Sender.Vault.Opener(ctx, one.Customer, purposeAnswer)
		open = func(sealed []byte) *string {
			if err != nil {
				return nil
			}
			plain, err := opener(sealed)
			if err != nil {
				return nil
			}
			return new(string(plain))
		}
		openers[one.Customer] = open
	}
	return open(one.AnswerSealed)
}

// replay has a batch of deliveries sent again, under their ids. An endpoint that is disabled gets them when it is enabled.
func (a *API) replay(ctx context.Context, question operatorapi.EndpointReplay) (operatorapi.EndpointReplayed, error) {
	if question.Since.IsZero() {
		return operatorapi.EndpointReplayed{}, &service.FieldsError{Errors: map[string][]string{"since": {"is missing"}}}
	}
	// The first place at that time: a delivery of exactly this moment is sent again.
	after := store.DeliveryPlace{At: question.Since, ID: uuid.Nil}
	if question.After != nil {
		var err error
		if after, err = placeOf(*question.After); err != nil {
			return operatorapi.EndpointReplayed{}, err
		}
	}
	var batch store.ReplayedDeliveries
	err := a.Sender.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		endpoint, err := tx.LockEndpoint(ctx, question.ID)
		if err != nil {
			return err
		}
		batch, err = tx.ReplayDeliveries(ctx, endpoint, after, retryFor, replayAtOnce)
		return err
	})
	if err != nil {
		return operatorapi.EndpointReplayed{}, err
	}
	a.Sender.Wake()
	reply := operatorapi.EndpointReplayed{Seen: batch.Seen, Replayed: batch.Replayed}
	if batch.Seen == replayAtOnce {
		reply.Next = &operatorapi.EndpointPlace{CreatedAt: batch.Last.At, ID: batch.Last.ID.String()}
	}
	return reply, nil
}

func placeOf(place operatorapi.EndpointPlace) (store.DeliveryPlace, error) {
	id, err := uuid.Parse(place.ID)
	if err != nil {
		return store.DeliveryPlace{}, &service.BadRequestError{Text: "the place is not one that was answered"}
	}
	return store.DeliveryPlace{At: place.CreatedAt, ID: id}, nil
}
