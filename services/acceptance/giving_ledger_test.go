package acceptance_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
)

// givenTransaction is a transaction that the sandbox's Virtuous has accepted.
type givenTransaction struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	GiftID int64  `json:"giftId"`
}

func (c *givingCourse) transactions() []givenTransaction {
	c.f.t.Helper()
	return recordsOf[givenTransaction](c.f, c.control()+"/transactions")
}

// givingLedger is the sandbox's count of what exists, and of what became of webhooks.
type givingLedger struct {
	Transactions struct{ Accepted, Imported, NeedsUpdate, Discarded, Repeats int }
	Gifts        struct{ All, OfTransactions, ByHand int }
	Events       struct{ All, Lost, Doubled, Undelivered, Waiting int }
	Quota        struct{ Operations map[string]int }
}

func (c *givingCourse) ledger() (ledger givingLedger) {
	c.f.t.Helper()
	c.f.control(http.MethodGet, c.control()+"/ledger", nil, &ledger)
	return ledger
}

// requireLedger compares donations, gifts and contacts with the sandbox's ledger, record by record.
func (c *givingCourse) requireLedger() {
	f := c.f
	f.t.Helper()
	wanted := map[string]string{}
	for _, transaction := range c.transactions() {
		require.NotContains(f.t, wanted, transaction.ID, "a donation is one transaction")
		require.Contains(f.t, []string{"imported", "needs_update", "discarded"}, transaction.State, transaction.ID)
		if wanted[transaction.ID] = "needs_review"; transaction.State == "imported" {
			wanted[transaction.ID] = "confirmed " + strconv.FormatInt(transaction.GiftID, 10)
		}
	}
	require.Len(f.t, wanted, len(c.amounts), "every donation is a transaction")
	require.Equal(f.t, wanted, c.rows(`SELECT platform_donation_id, concat_ws(' ', status, virtuous_gift_id)
		FROM virtuous_donation_queue WHERE customer_id = $1`), "donations")

	type gift struct {
		ID            int64       `json:"id"`
		TransactionID string      `json:"transactionId"`
		ContactID     int64       `json:"contactId"`
		Amount        json.Number `json:"amount"`
		State         string      `json:"state"`
	}
	gifts, byHand := map[string]string{}, 0
	for _, one := range recordsOf[gift](f, c.control()+"/gifts") {
		amount, ok := new(big.Rat).SetString(one.Amount.String())
		require.True(f.t, ok, one.Amount)
		if one.TransactionID == "" {
			byHand++
		} else {
			require.Equal(f.t, c.amounts[one.TransactionID], amount.FloatString(2), "the amount of donation %s", one.TransactionID)
		}
		gifts[strconv.FormatInt(one.ID, 10)] = strings.Join([]string{
			one.State, one.TransactionID, strconv.FormatInt(one.ContactID, 10), amount.FloatString(2),
		}, " ")
	}
	require.Equal(f.t, giftsByHand, byHand)
	require.Equal(f.t, gifts, c.rows(`SELECT virtuous_gift_id::text, concat_ws(' ', state, coalesce(transaction_id, ''), contact_id, round(amount, 2))
		FROM partner_gifts WHERE customer_id = $1`), "gifts")

	contacts := map[string]string{}
	for _, one := range recordsOf[struct{ ID int64 }](f, c.control()+"/contacts") {
		contacts[strconv.FormatInt(one.ID, 10)] = ""
	}
	require.Equal(f.t, contacts, c.rows(`SELECT virtuous_contact_id::text, '' FROM partner_contacts WHERE customer_id = $1`), "contacts")
	c.requireEvents(wanted)
}

// requireEvents checks that each donation's end was published once.
func (c *givingCourse) requireEvents(wanted map[string]string) {
	f := c.f
	f.t.Helper()
	confirmed := 0
	for _, state := range wanted {
		if strings.HasPrefix(state, "confirmed") {
			confirmed++
		}
	}
	published := map[string]bool{}
	messages := f.events(bus.StreamEvents, bus.SubjectEvent("gift.confirmed", c.customer()))
	for _, message := range messages {
		var event struct{ PlatformDonationID string }
		require.NoError(f.t, json.Unmarshal(message.Data(), &event))
		require.Contains(f.t, wanted[event.PlatformDonationID], "confirmed")
		published[event.PlatformDonationID] = true
	}
	require.Len(f.t, published, confirmed)
	require.Len(f.t, messages, confirmed, "each once")
	require.Empty(f.t, f.events(bus.StreamEvents, bus.SubjectEvent("donation.failed", c.customer())))
	require.Empty(f.t, f.events(bus.StreamEvents, bus.SubjectEvent("donation.rejected", c.customer())))
	require.Zero(f.t, f.count(`SELECT count(*) FROM dead_letters WHERE customer_id = $1 AND error_code <> 'webhook_unreadable'`, c.customer()),
		"only the entries without a record that the sandbox adds to deliveries are letters")
}

// rows returns the rows of a query about the customer that have a key and a value.
func (c *givingCourse) rows(query string) map[string]string {
	c.f.t.Helper()
	found := map[string]string{}
	rows, err := c.f.pool.Query(c.f.t.Context(), query, c.customer())
	require.NoError(c.f.t, err)
	var key, value string
	_, err = pgx.ForEachRow(rows, []any{&key, &value}, func() error {
		found[key] = value
		return nil
	})
	require.NoError(c.f.t, err)
	return found
}

// givingFigures are what a course went through.
type givingFigures struct {
	Donations, Kills, Submissions, Repeats, SetAside, Discarded int // Submissions are requests
	Events, Lost, Doubled, Undelivered                          int
	NeedsReview, Recovered                                      int
}

func (c *givingCourse) figures() givingFigures {
	c.f.t.Helper()
	ledger := c.ledger()
	return givingFigures{
		Donations: len(c.amounts), Kills: c.kills, Submissions: ledger.Quota.Operations["transaction"], Repeats: ledger.Transactions.Repeats,
		SetAside: ledger.Transactions.NeedsUpdate, Discarded: ledger.Transactions.Discarded,
		Events: ledger.Events.All, Lost: ledger.Events.Lost, Doubled: ledger.Events.Doubled, Undelivered: ledger.Events.Undelivered,
		NeedsReview: c.f.count(`SELECT count(*) FROM virtuous_donation_queue WHERE customer_id = $1 AND status = 'needs_review'`, c.customer()),
		Recovered: c.f.count(`SELECT count(*) FROM virtuous_donation_queue WHERE customer_id = $1 AND recovery_path LIKE 'reconciliation%'`,
			c.customer()),
	}
}

func (g *givingFigures) add(more givingFigures) {
	g.Donations, g.Kills, g.Submissions, g.Repeats = g.Donations+more.Donations, g.Kills+more.Kills, g.Submissions+more.Submissions, g.Repeats+more.Repeats
	g.SetAside, g.Discarded, g.Events, g.Lost = g.SetAside+more.SetAside, g.Discarded+more.Discarded, g.Events+more.Events, g.Lost+more.Lost
	g.Doubled, g.Undelivered = g.Doubled+more.Doubled, g.Undelivered+more.Undelivered
	g.NeedsReview, g.Recovered = g.NeedsReview+more.NeedsReview, g.Recovered+more.Recovered
}

// metrics returns what the services that run say of themselves.
func (f *fixture) metrics() string {
	f.t.Helper()
	var all strings.Builder
	for _, program := range f.programs {
		select {
		case <-program.Done():
			continue
		default:
		}
		request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.health[program]+"/metrics", http.NoBody)
		require.NoError(f.t, err)
		response, err := (&http.Client{Timeout: soon}).Do(request)
		require.NoError(f.t, err)
		_, err = io.Copy(&all, response.Body)
		require.NoError(f.t, err)
		require.NoError(f.t, response.Body.Close())
	}
	return all.String()
}

// requireNowhere searches for secrets, as bytes, in the tables, the logs, the metrics and the files of JetStream.
func (f *fixture) requireNowhere(secrets ...string) {
	f.t.Helper()
	places := map[string][]byte{"the database": []byte(f.dump()), "a log": []byte(f.logs()), "a metric": []byte(f.metrics())}
	for place, known := range map[string]string{"the database": "don-7", "a log": "donation answered", "a metric": "rollcall_"} {
		require.True(f.t, bytes.Contains(places[place], []byte(known)), "%s was read", place)
	}
	var all [][]byte
	for _, secret := range secrets {
		for _, trace := range traces(secret) {
			for place, content := range places {
				require.False(f.t, bytes.Contains(content, trace), "no trace of %s… in %s", secret[:8], place)
			}
			all = append(all, trace)
		}
	}
	require.Empty(f.t, f.nats.FilesWith(f.t, all...), "JetStream's files have none of the secrets")
}
