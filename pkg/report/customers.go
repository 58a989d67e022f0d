package report

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// A customer is less than a kilobyte of JSON, and its users are counted for each page.
const maxCustomers = 100

// Customers answers rollcall.api.customers.ls.
func Customers(ctx context.Context, from *store.Store, question operatorapi.CustomersQuestion) (operatorapi.CustomersReply, error) {
	reply := operatorapi.CustomersReply{Customers: []operatorapi.Customer{}}
	limit := pageLimit(question.Limit, maxCustomers)
	customers, err := customersFor(ctx, from, question, limit+1) // one more tells whether this page is the last
	if err != nil {
		return reply, err
	}
	if len(customers) > int(limit) {
		customers = customers[:limit]
		reply.Next = &customers[limit-1].ID
	}
	ids := make([]string, 0, len(customers))
	for _, customer := range customers {
		ids = append(ids, customer.ID)
	}
	if reply.AsOf, err = from.Now(ctx); err != nil {
		return reply, err
	}
	facts, err := healthFactsOf(ctx, from, reply.AsOf, customers, ids, from.Overviews)
	if err != nil {
		return reply, err
	}
	for i, customer := range customers {
		reply.Customers = append(reply.Customers, customerOf(customer, facts[i]))
	}
	return reply, nil
}

// customersFor returns the customers of a page, or the one that the question names.
func customersFor(ctx context.Context, from *store.Store, question operatorapi.CustomersQuestion, limit int32) ([]store.Customer, error) {
	if question.CustomerID == "" {
		return from.Customers(ctx, question.After, limit)
	}
	customer, err := from.Customer(ctx, question.CustomerID)
	if errors.Is(err, store.ErrNotFound) || (err == nil && question.After >= customer.ID) {
		return nil, nil
	}
	return []store.Customer{customer}, err
}

// inList is a customer's overview with the facts about its health.
type inList struct {
	store.Overview
	healthFacts
}

// healthFactsOf reads the facts about all customers of a page, with a few statements.
func healthFactsOf(ctx context.Context, from *store.Store, now time.Time, customers []store.Customer, ids []string,
	read func(context.Context, []string) (map[string]store.Overview, error),
) ([]inList, error) {
	overviews, err := read(ctx, ids)
	if err != nil {
		return nil, err
	}
	outcomes, err := from.LatestOutcomes(ctx, ids, store.JobPoll)
	if err != nil {
		return nil, err
	}
	owed, err := from.RewritesOwed(ctx, ids)
	if err != nil {
		return nil, err
	}
	parked, err := from.ParkedOf(ctx, ids...)
	if err != nil {
		return nil, err
	}
	facts := make([]inList, 0, len(customers))
	for _, customer := range customers {
		overview := overviews[customer.ID]
		facts = append(facts, inList{Overview: overview, healthFacts: healthFacts{
			customer: customer, now: now, run: overview.Run, rewriteOwed: owed[customer.ID],
			lastPollFailed: outcomes[customer.ID] == store.OutcomeFailed, openLetters: overview.OpenLetters, alerts: overview.Alerts,
			parked: parked[customer.ID],
		}})
	}
	return facts, nil
}

func customerOf(customer store.Customer, overview inList) operatorapi.Customer {
	shown := operatorapi.Customer{
		CustomerID: customer.ID, Enabled: customer.Enabled, OnboardedAt: customer.OnboardedAt, OffboardedAt: customer.OffboardedAt,
		Destination: hostOf(customer), PollCadenceMinutes: customer.PollCadenceMinutes, BackfillCompletedAt: customer.BackfillCompletedAt,
		UsersMirrored: overview.Users, OpenLetters: overview.OpenLetters, Alerts: overview.activeAlerts(),
		PausedAt: customer.PausedAt, LastPolledAt: customer.LastPolledAt, IsHealthy: overview.healthy(overview.reasons()),
	}
	if shown.Alerts == nil {
		shown.Alerts = []string{}
	}
	if overview.Run != nil {
		run := BackfillOf(*overview.Run)
		shown.Backfill = &operatorapi.BackfillInShort{
			ID: run.ID, State: run.State, ParkReason: run.ParkReason, Processed: run.Processed, Total: run.Total, EtaSeconds: run.EtaSeconds,
		}
	}
	return shown
}

func hostOf(customer store.Customer) operatorapi.DestinationHost {
	var stored struct {
		Kind string `json:"kind"`
	}
	host := operatorapi.DestinationHost{}
	if json.Unmarshal(customer.Destination, &stored) == nil {
		host.Kind = stored.Kind
	}
	if address, err := url.Parse(customer.ExternalSystemURL); err == nil {
		host.Host = address.Host
	}
	return host
}
