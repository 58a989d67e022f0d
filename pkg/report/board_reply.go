package report

import (
	"context"
	"math"
	"slices"
	"time"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// BoardQuestion asks for the customers that do worst, and for what the installation does now.
type BoardQuestion struct {
	Limit int32 `json:"limit,omitempty"` // customers; at most 100, default 50
}

// BoardReply answers rollcall.api.board.show. AsOf is the database's time, from which ages are computed; it may be some seconds old.
type BoardReply struct {
	AsOf      time.Time       `json:"asOf"`
	Count     int             `json:"count"`     // customers, also those that are not listed
	States    map[string]int  `json:"states"`    // customers by state
	Customers []BoardCustomer `json:"customers"` // the worst first
	Rates     BoardRates      `json:"rates"`     // of all customers with a run under way
	Queues    []BoardQueue    `json:"queues"`    // in the order in which work moves through them; null if JetStream does not answer
}

// BoardCustomer is one customer of the board.
type BoardCustomer struct {
	CustomerID  string                       `json:"customerId"`
	State       string                       `json:"state"`      // needs-you, paused, starting, healthy, offboarded
	Reason      *Reason                      `json:"reason"`     // the first that makes it unhealthy, or the first of all
	Reasons     int                          `json:"reasons"`    // how many there are
	LagSeconds  *int64                       `json:"lagSeconds"` // since the moment up to which the mirror has all changes
	OpenLetters int64                        `json:"openLetters"`
	Backfill    *operatorapi.BackfillInShort `json:"backfill"`
	Rates       *BoardRates                  `json:"rates"` // null if no run is under way
}

// BoardRates are what runs under way do in a minute, measured over the time in which they have worked. A run that has just begun has none.
type BoardRates struct {
	Runs              int     `json:"runs"`
	RecordsPerMinute  float64 `json:"recordsPerMinute"`
	RequestsPerMinute float64 `json:"requestsPerMinute"`
	RequestsAllowed   float64 `json:"requestsAllowed"` // in a minute, by the limits of these customers
}

// BoardQueue is a stream.
type BoardQueue struct {
	Stream        string `json:"stream"`
	Messages      uint64 `json:"messages"`
	OldestSeconds *int64 `json:"oldestSeconds"` // null: it has no message
}

// BoardUnder answers rollcall.api.board.show, but for the queues, with the installation's limits.
func BoardUnder(ctx context.Context, kept *KeptBoard, from *store.Store, installation budget.Limits, question BoardQuestion) (BoardReply, error) {
	lines, asOf, err := kept.Lines(ctx, from)
	if err != nil {
		return BoardReply{}, err
	}
	running, err := from.RunsRunning(ctx)
	if err != nil {
		return BoardReply{}, err
	}
	rates := map[string]*BoardRates{}
	for _, run := range running {
		of := rates[run.Customer]
		if of == nil {
			of = &BoardRates{}
			rates[run.Customer] = of
		}
		of.Runs++
		if run.Pages > 1 && run.ActiveSeconds > 0 { // as a backfill's rate
			of.RequestsPerMinute += perMinute(run.Pages, run.ActiveSeconds)
			of.RecordsPerMinute += perMinute(run.Processed, run.ActiveSeconds)
		}
	}
	reply := BoardReply{AsOf: asOf, Count: len(lines), States: map[string]int{}, Customers: []BoardCustomer{}}
	limit := int(pageLimit(question.Limit, maxCustomers))
	for i, line := range lines {
		reply.States[line.State()]++
		of := rates[line.CustomerID]
		if of != nil {
			of.RequestsAllowed = installation.With(line.RequestsPerSecond, line.RequestsPerMinute).AllowedPerMinute()
			reply.Rates.add(*of)
		}
		if i < limit {
			reply.Customers = append(reply.Customers, boardCustomer(line, asOf, of))
		}
	}
	return reply, nil
}

func (r *BoardRates) add(of BoardRates) {
	r.Runs += of.Runs
	r.RecordsPerMinute = tenths(r.RecordsPerMinute + of.RecordsPerMinute)
	r.RequestsPerMinute = tenths(r.RequestsPerMinute + of.RequestsPerMinute)
	r.RequestsAllowed += of.RequestsAllowed
}

func perMinute(count int64, seconds float64) float64 { return tenths(60 * float64(count) / seconds) }

func tenths(value float64) float64 { return math.Round(10*value) / 10 }

func boardCustomer(line BoardLine, asOf time.Time, rates *BoardRates) BoardCustomer {
	shown := BoardCustomer{
		CustomerID: line.CustomerID, State: line.State(), Reasons: len(line.Reasons), OpenLetters: line.OpenLetters, Backfill: line.Backfill, Rates: rates,
	}
	if len(line.Reasons) > 0 {
		first := max(slices.IndexFunc(line.Reasons, func(r Reason) bool { return r.Unhealthy }), 0)
		shown.Reason = &line.Reasons[first]
	}
	if line.CaughtUpAt != nil {
		lag := int64(max(asOf.Sub(*line.CaughtUpAt), 0) / time.Second)
		shown.LagSeconds = &lag
	}
	return shown
}
