package report

import (
	"context"
	"encoding/json"
	"net/url"
	"time"

	"rollcall.dev/pkg/store"
)

// Customer is one line of `rollcall customer ls`.
type Customer struct {
	CustomerID          string           `json:"customerId"`
	Enabled             bool             `json:"enabled"`
	OnboardedAt         time.Time        `json:"onboardedAt"`
	OffboardedAt        *time.Time       `json:"offboardedAt"`
	Destination         DestinationHost  `json:"destination"`
	PollCadenceMinutes  int32            `json:"pollCadenceMinutes"`
	BackfillCompletedAt *time.Time       `json:"backfillCompletedAt"` // the first one's end
	Backfill            *BackfillInShort `json:"backfill"`            // the newest run
	UsersMirrored       int64            `json:"usersMirrored"`
	OpenLetters         int64            `json:"openLetters"`
	Alerts              []string         `json:"alerts"` // types of those that stand, by the facts as well
	PausedAt            *time.Time       `json:"pausedAt"`
	LastPolledAt        *time.Time       `json:"lastPolledAt"` // the end of the last successful poll
	IsHealthy           *bool            `json:"isHealthy"`    // as the status has it
}

// DestinationHost names a destination without its path, which may hold a secret.
type DestinationHost struct {
	Kind string `json:"kind"`
	Host string `json:"host"`
}

// BackfillInShort is where a run stands.
type BackfillInShort struct {
	ID         int64   `json:"id"`
	State      string  `json:"state"`
	ParkReason *string `json:"parkReason"`
	Processed  int64   `json:"processed"`
	Total      *int64  `json:"total"`
	EtaSeconds *int64  `json:"etaSeconds"`
}

// CustomersQuestion asks for customers in the order of their ids.
type CustomersQuestion struct {
	After string `json:"after,omitempty"` // customers with a later id: the Next of the page before
	Limit int32  `json:"limit,omitempty"` // at most 100, default 50
}

// CustomersReply is one page; Next is null on the last. AsOf is the database's time, to tell ages by.
type CustomersReply struct {
	AsOf      time.Time  `json:"asOf"`
	Customers []Customer `json:"customers"`
	Next      *string    `json:"next"`
}

// A customer is less than a kilobyte of JSON, and its users are counted for each page.
const maxCustomers = 100

// Customers answers rollcall.api.customers.ls.
func Customers(ctx context.Context, from *store.Store, question CustomersQuestion) (CustomersReply, error) {
	reply := CustomersReply{Customers: []Customer{}}
	limit := pageLimit(question.Limit, maxCustomers)
	customers, err := from.Customers(ctx, question.After, limit+1) // one more tells whether this page is the last
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
	standings, err := standingsOf(ctx, from, reply.AsOf, customers, ids)
	if err != nil {
		return reply, err
	}
	for i, customer := range customers {
		reply.Customers = append(reply.Customers, customerOf(customer, standings[i]))
	}
	return reply, nil
}

// inList is a customer's overview with what its health is judged by.
type inList struct {
	store.Overview
	standing
}

// standingsOf reads how each customer stands, in a few statements for all of them.
func standingsOf(ctx context.Context, from *store.Store, now time.Time, customers []store.Customer, ids []string) ([]inList, error) {
	overviews, err := from.Overviews(ctx, ids)
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
	standings := make([]inList, 0, len(customers))
	for _, customer := range customers {
		overview := overviews[customer.ID]
		standings = append(standings, inList{Overview: overview, standing: standing{
			customer: customer, now: now, run: overview.Run, rewriteOwed: owed[customer.ID],
			lastPollFailed: outcomes[customer.ID] == store.OutcomeFailed, openLetters: overview.OpenLetters, alerts: overview.Alerts,
			parked: parked[customer.ID],
		}})
	}
	return standings, nil
}

func customerOf(customer store.Customer, overview inList) Customer {
	shown := Customer{
		CustomerID: customer.ID, Enabled: customer.Enabled, OnboardedAt: customer.OnboardedAt, OffboardedAt: customer.OffboardedAt,
		Destination: hostOf(customer), PollCadenceMinutes: customer.PollCadenceMinutes, BackfillCompletedAt: customer.BackfillCompletedAt,
		UsersMirrored: overview.Users, OpenLetters: overview.OpenLetters, Alerts: overview.standingAlerts(),
		PausedAt: customer.PausedAt, LastPolledAt: customer.LastPolledAt, IsHealthy: overview.healthy(overview.reasons()),
	}
	if shown.Alerts == nil {
		shown.Alerts = []string{}
	}
	if overview.Run != nil {
		run := BackfillOf(*overview.Run)
		shown.Backfill = &BackfillInShort{
			ID: run.ID, State: run.State, ParkReason: run.ParkReason, Processed: run.Processed, Total: run.Total, EtaSeconds: run.EtaSeconds,
		}
	}
	return shown
}

func hostOf(customer store.Customer) DestinationHost {
	var stored struct {
		Kind string `json:"kind"`
	}
	host := DestinationHost{}
	if json.Unmarshal(customer.Destination, &stored) == nil {
		host.Kind = stored.Kind
	}
	if address, err := url.Parse(customer.ExternalSystemURL); err == nil {
		host.Host = address.Host
	}
	return host
}
