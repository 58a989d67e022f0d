package givingapi

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/giving/subscription"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const customer = "acme"

// fixture is the API with a database of its own, before a Virtuous that has one gift, or fails.
type fixture struct {
	*API

	pool    *pgxpool.Pool
	answer  func(source, id string) (virtuous.Gift, error)
	lookups int

	known         map[int64]virtuous.Gift
	contactsKnown map[int64]virtuous.Contact
	contactFault  error // of lookups of contacts
}

func errNone() error { return fault.Unknown("virtuous_http_404", virtuous.ErrNotFound) }

func (f *fixture) Gift(_ context.Context, id int64) (virtuous.Gift, error) {
	f.lookups++
	if gift, isKnown := f.known[id]; isKnown {
		return gift, nil
	}
	return virtuous.Gift{}, errNone()
}

func (f *fixture) Contact(_ context.Context, id int64) (virtuous.Contact, error) {
	f.lookups++
	if f.contactFault != nil {
		return virtuous.Contact{}, f.contactFault
	}
	if contact, isKnown := f.contactsKnown[id]; isKnown {
		return contact, nil
	}
	return virtuous.Contact{}, errNone()
}

func (f *fixture) ContactByReference(_ context.Context, source, id string) (virtuous.Contact, error) {
	f.lookups++
	if f.contactFault != nil {
		return virtuous.Contact{}, f.contactFault
	}
	for _, contact := range f.contactsKnown {
		if contact.HasReference(source, id) {
			return contact, nil
		}
	}
	return virtuous.Contact{}, errNone()
}

func (f *fixture) GiftByTransaction(_ context.Context, source, id string) (virtuous.Gift, error) {
	f.lookups++
	return f.answer(source, id)
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	database := testkit.Database(t)
	opened, err := store.Open(t.Context(), database, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	pool, err := pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+t.TempDir()+"/key")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	keys := &vault.Vault{Keeper: keeper, Keys: opened}
	f := &fixture{
		pool: pool, known: map[int64]virtuous.Gift{}, contactsKnown: map[int64]virtuous.Contact{},
		answer: func(string, string) (virtuous.Gift, error) { return virtuous.Gift{}, errNone() },
	}
	f.API = &API{
		Store: opened, Vault: keys, Logger: zap.NewNop(), DonationPurpose: "donation", Sent: func() {}, Applied: func() {},
		Applier:       &inbound.Applier{Store: opened, Vault: keys, Logger: zap.NewNop(), TransactionPurpose: "transaction"},
		Reporter:      dailyreport.Reporter{Limits: dailyreport.DefaultLimits()},
		Subscriptions: &subscription.Subscriptions{Store: opened, Vault: keys, Logger: zap.NewNop()},
		Open:          func(context.Context, store.VirtuousConfig, string) (Looker, error) { return f, nil }, Source: "AcmeGive",
	}
	f.exec(t, `INSERT INTO sync_configs (customer_id, external_system_url, destination, onboarded_at, updated_at) VALUES ($1, '', '{}', now(), now())`, customer)
	f.exec(t, `INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours, stuck_after_hours,
		imports_url, organization_id, organization_name, time_zone, culture, updated_at)
		VALUES ($1, true, now(), 'designations', '{}', 72, 24, 'https://app.example.org/imports', '1', 'Relief', 'UTC', 'en-US', now())`, customer)
	return f
}

func (f *fixture) exec(t testing.TB, statement string, arguments ...any) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

// value returns the one value of a query.
func value[T any](t testing.TB, f *fixture, statement string, arguments ...any) T {
	t.Helper()
	rows, err := f.pool.Query(t.Context(), statement, arguments...)
	require.NoError(t, err)
	one, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[T])
	require.NoError(t, err)
	return one
}

// add adds a donation that is pending, and changes its row.
func (f *fixture) add(t testing.TB, id, change string) {
	t.Helper()
	canonical, err := giving.Donation{
		CustomerID: customer, PlatformDonationID: id, Amount: "125.00", CurrencyCode: "USD", GiftDate: "2026-11-20", PlatformReference: "ch_3Nf",
		Contact: giving.Contact{FirstName: "Ana", LastName: "Ruiz", Email: "ana.ruiz@example.org"},
	}.Encode()
	require.NoError(t, err)
	sealed, err := f.Vault.Seal(t.Context(), customer, "donation", canonical)
	require.NoError(t, err)
	body, err := f.Vault.Seal(t.Context(), customer, "transaction", []byte(`{"amount":"125.00"}`))
	require.NoError(t, err)
	f.exec(t, `INSERT INTO virtuous_donation_queue (customer_id, platform_donation_id, status, transaction_source, donation_sealed, body_sealed, content_hash,
		next_attempt_at, created_at, status_at, updated_at) VALUES ('acme', $1, 'pending', 'AcmeGive', $2, $3, '', now(), now(), now(), now())`, id, sealed, body)
	if change != "" {
		f.exec(t, `UPDATE virtuous_donation_queue SET `+change+` WHERE platform_donation_id = $1`, id)
	}
}

const (
	failed   = `status = 'failed', next_attempt_at = NULL, last_error = 'status 422: amount'`
	inReview = `status = 'needs_review', next_attempt_at = NULL, submitted_at = now() - interval '4 days',
		unanswered_since = now() - interval '4 days', next_lookup_at = now(), review_reason = 'match_needed'`
	unanswered = `attempts = 1, unanswered_since = now() - interval '1 minute'`
)

func requireConflict(t testing.TB, err error) {
	t.Helper()
	var conflict *service.ConflictError
	require.ErrorAs(t, err, &conflict)
}

func TestDonorsAreShownOnlyIfTheyAreAskedFor(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.add(t, "don-1", inReview)
	f.add(t, "don-2", failed)
	listed, err := f.donations(t.Context(), operatorapi.DonationsQuestion{CustomerID: customer})
	require.NoError(t, err)
	require.Len(t, listed.Donations, 2)
	require.NotContains(t, fmt.Sprintf("%+v", listed), "Ana")
	listed, err = f.donations(t.Context(), operatorapi.DonationsQuestion{CustomerID: customer, State: "needs_review"})
	require.NoError(t, err)
	require.Len(t, listed.Donations, 1)
	review := listed.Donations[0].Review
	require.Equal(t, []string{"phone", "address", "referenceId"}, review.MissingSignals)
	require.Equal(t, []string{"retry", "close"}, review.Decisions)
	require.Equal(t, "ch_3Nf", *review.PlatformReference)
	require.Equal(t, "https://app.example.org/imports", *review.ImportsURL)
	require.Nil(t, review.Donor)
	shown, err := f.donation(t.Context(), operatorapi.DonationQuestion{CustomerID: customer, PlatformDonationID: "don-1", Donors: true})
	require.NoError(t, err)
	require.Equal(t, "Ana Ruiz", shown.Review.Donor.Name)
	_, err = f.donation(t.Context(), operatorapi.DonationQuestion{CustomerID: customer, PlatformDonationID: "don-9"})
	require.ErrorIs(t, err, store.ErrNotFound)
	_, err = f.donations(t.Context(), operatorapi.DonationsQuestion{CustomerID: customer, State: "gone"})
	require.Error(t, err)
}

func TestRetrySendsFailedAndReviewedDonationsAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.add(t, "don-1", failed)
	f.add(t, "don-2", inReview)
	f.add(t, "don-3", "")
	retried, err := f.retry(t.Context(), operatorapi.DonationQuestion{CustomerID: customer, PlatformDonationID: "don-1"})
	require.NoError(t, err)
	require.Equal(t, store.DonationPending, retried.Status)
	require.Nil(t, retried.UnansweredSince)
	retried, err = f.retry(t.Context(), operatorapi.DonationQuestion{CustomerID: customer, PlatformDonationID: "don-2"})
	require.NoError(t, err)
	require.Equal(t, store.DonationPending, retried.Status)
	require.Nil(t, retried.SubmittedAt)
	require.Less(t, time.Since(*retried.UnansweredSince), time.Hour, "it is looked up first, and its days without a gift begin anew")
	_, err = f.retry(t.Context(), operatorapi.DonationQuestion{CustomerID: customer, PlatformDonationID: "don-3"})
	requireConflict(t, err)
}

func TestCloseEndsADonation(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.add(t, "don-1", failed)
	f.add(t, "don-2", inReview)
	f.add(t, "don-3", "")
	f.add(t, "don-4", `status = 'submitted', next_attempt_at = NULL, submitted_at = now()`)
	for _, id := range []string{"don-1", "don-2", "don-3"} {
		_, err := f.closeDonation(t.Context(), operatorapi.DonationQuestion{CustomerID: customer, PlatformDonationID: id, Reason: "a\nb"})
		require.Error(t, err)
		closed, err := f.closeDonation(t.Context(), operatorapi.DonationQuestion{CustomerID: customer, PlatformDonationID: id, Reason: " by hand "})
		require.NoError(t, err)
		require.Equal(t, store.DonationClosed, closed.Status)
		require.Equal(t, "by hand", *closed.CloseReason)
	}
	require.Zero(t, f.lookups)
	for _, id := range []string{"don-1", "don-4"} {
		_, err := f.closeDonation(t.Context(), operatorapi.DonationQuestion{CustomerID: customer, PlatformDonationID: id, Reason: "by hand"})
		requireConflict(t, err)
	}
}

func TestCloseAfterAnAttemptWithoutAnAnswerLooksTheDonationUp(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	closing := func(id string) (operatorapi.DonationShown, error) {
		return f.closeDonation(t.Context(), operatorapi.DonationQuestion{CustomerID: customer, PlatformDonationID: id, Reason: "by hand"})
	}
	f.add(t, "don-1", unanswered)
	f.answer = func(string, string) (virtuous.Gift, error) {
		return virtuous.Gift{}, fault.Unknown("virtuous_5xx", virtuous.ErrUnavailable)
	}
	_, err := closing("don-1")
	var busy *service.BusyError
	require.ErrorAs(t, err, &busy)
	require.Equal(t, "pending", value[string](t, f, `SELECT status FROM virtuous_donation_queue`), "an unknown answer changes nothing")

	f.answer = func(source, id string) (virtuous.Gift, error) {
		gift, err := virtuous.ParseGift(fmt.Appendf(nil, `{"id":901,"contactId":5,"transactionSource":%q,"transactionId":%q,"giftType":"Cash",
			"giftDate":"2026-11-20T00:00:00","amount":"125.00","currencyCode":"USD","giftDesignations":[],"modifiedDateTimeUtc":"2026-11-20T08:00:00"}`, source, id))
		return gift, err
	}
	confirmed, err := closing("don-1")
	require.NoError(t, err)
	require.Equal(t, store.DonationConfirmed, confirmed.Status)
	require.EqualValues(t, 901, *confirmed.VirtuousGiftID)
	require.Equal(t, "operator_lookup", *confirmed.RecoveryPath)

	f.add(t, "don-2", unanswered)
	f.answer = func(string, string) (virtuous.Gift, error) {
		// An attempt begins, and has no answer, while the gift is looked up.
		f.exec(t, `UPDATE virtuous_donation_queue SET attempts = 2 WHERE platform_donation_id = 'don-2'`)
		return virtuous.Gift{}, fault.Unknown("virtuous_http_404", virtuous.ErrNotFound)
	}
	_, err = closing("don-2")
	requireConflict(t, err)
	closed, err := closing("don-2")
	require.NoError(t, err)
	require.Equal(t, store.DonationClosed, closed.Status)
	require.NotNil(t, closed.LookedUpAt)
}

func TestCloseOfAPausedCustomersDonationSendsNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `UPDATE sync_configs SET paused_at = now()`)
	f.add(t, "don-1", `unanswered_since = now(), attempts = 1`)
	f.add(t, "don-2", "")
	end := func(id string) error {
		_, err := f.closeDonation(t.Context(), operatorapi.DonationQuestion{CustomerID: customer, PlatformDonationID: id, Reason: "refunded"})
		return err
	}
	var conflict *service.ConflictError
	require.ErrorAs(t, end("don-1"), &conflict)
	require.Contains(t, conflict.Text, "rollcall resume acme")
	require.Zero(t, f.lookups)
	require.NoError(t, end("don-2"), "there is nothing to look up")
	require.Equal(t, "don-1 pending, don-2 closed",
		value[string](t, f, `SELECT string_agg(platform_donation_id || ' ' || status, ', ' ORDER BY id) FROM virtuous_donation_queue`))
}

func TestCloseIsRejectedWhileAnAttemptIsUnderWay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.add(t, "don-1", unanswered+`, attempt_started_at = now(), attempt_epoch = 7`)
	f.exec(t, `INSERT INTO giving_leases (customer_id, epoch, holder, expires_at) VALUES ('acme', 7, 'donations-1', now() + interval '1 minute')`)
	asked := operatorapi.DonationQuestion{CustomerID: customer, PlatformDonationID: "don-1", Reason: "by hand"}
	_, err := f.closeDonation(t.Context(), asked)
	requireConflict(t, err)
	require.Zero(t, f.lookups)
	f.exec(t, `UPDATE giving_leases SET expires_at = now() - interval '1 second'`) // the holder died
	_, err = f.closeDonation(t.Context(), asked)
	require.NoError(t, err)
	require.Equal(t, 1, f.lookups)
}

func TestGiftsAndContactsAreShownWithTheirFields(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	sealed, err := f.Vault.Seal(t.Context(), customer, inbound.PurposeContact, []byte(`[["name","Ana Ruiz"]]`))
	require.NoError(t, err)
	f.exec(t, `INSERT INTO partner_contacts (customer_id, virtuous_contact_id, state, content_hash, sealed, created_at, last_sync_at)
		SELECT 'acme', i, 'live', '', $1, now(), now() FROM generate_series(1, 101) i`, sealed)
	f.exec(t, `INSERT INTO partner_gifts (customer_id, virtuous_gift_id, state, created_at, deleted_at, last_sync_at)
		VALUES ('acme', 9, 'deleted', now(), now(), now())`)
	page, err := f.contacts(t.Context(), operatorapi.RecordsQuestion{CustomerID: customer})
	require.NoError(t, err)
	require.Len(t, page.Contacts, 100)
	require.NotContains(t, fmt.Sprintf("%+v", page), "Ana")
	page, err = f.contacts(t.Context(), operatorapi.RecordsQuestion{CustomerID: customer, Before: *page.Next})
	require.NoError(t, err)
	require.EqualValues(t, 1, page.Contacts[0].VirtuousContactID)
	require.Nil(t, page.Next)
	shown, err := f.contact(t.Context(), operatorapi.RecordQuestion{CustomerID: customer, ID: 7})
	require.NoError(t, err)
	require.Equal(t, map[string]string{"name": "Ana Ruiz"}, shown.Fields)
	gift, err := f.gift(t.Context(), operatorapi.RecordQuestion{CustomerID: customer, ID: 9})
	require.NoError(t, err)
	require.Equal(t, "deleted", gift.State)
	_, err = f.gift(t.Context(), operatorapi.RecordQuestion{CustomerID: customer, ID: 10})
	require.ErrorIs(t, err, store.ErrNotFound)
}

func TestReconciliationLogIsReadByTimeAndCategory(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO virtuous_reconciliation_log (customer_id, run_at, category, resolution, platform_record_id)
		SELECT 'acme', '2026-11-20T08:00:00Z'::timestamptz, CASE WHEN i % 2 = 0 THEN 'stuck' ELSE 'needs_update' END, 'auto_recovered', 'don-' || i
		FROM generate_series(1, 300) i`)
	asked := operatorapi.ReconciliationLogQuestion{
		CustomerID: customer, Category: "stuck", From: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC), To: time.Date(2026, 11, 20, 8, 0, 1, 0, time.UTC),
	}
	first, err := f.reconciliations(t.Context(), asked)
	require.NoError(t, err)
	require.Len(t, first.Actions, 100)
	asked.After = first.Next
	second, err := f.reconciliations(t.Context(), asked)
	require.NoError(t, err)
	require.Len(t, second.Actions, 50)
	require.Nil(t, second.Next)
	asked.After, asked.To = nil, asked.From
	none, err := f.reconciliations(t.Context(), asked)
	require.NoError(t, err)
	require.Empty(t, none.Actions)
}

func TestReplayHasAppliedPartsAppliedAgain(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `INSERT INTO webhook_inbox (customer_id, digest, event, records, sealed, state, received_at, applied_at, next_attempt_at)
		SELECT 'acme', int8send(i), 'gift_create', 2, '', CASE WHEN i = 1 THEN 'letter' WHEN i = 2 THEN 'waiting' ELSE 'applied' END,
		'2026-11-20T08:00:00Z', now(), CASE WHEN i = 2 THEN now() END FROM generate_series(1, 1500) i`)
	f.exec(t, `INSERT INTO webhook_inbox (customer_id, digest, event, records, sealed, state, received_at)
		VALUES ('acme', 'x', 'gift_create', 1, '', 'applied', '2026-11-20T09:00:00Z')`)
	from := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	asked := operatorapi.WebhookReplay{CustomerID: customer, From: from, To: from.Add(time.Hour)}
	first, err := f.replay(t.Context(), asked)
	require.NoError(t, err)
	require.EqualValues(t, 998, first.Parts)
	asked.After = first.Next
	second, err := f.replay(t.Context(), asked)
	require.NoError(t, err)
	require.EqualValues(t, 500, second.Parts)
	require.EqualValues(t, 1000, second.Records)
	require.Nil(t, second.Next)
	require.EqualValues(t, 1499, value[int64](t, f, `SELECT count(*) FROM webhook_inbox WHERE state = 'waiting'`))
	require.EqualValues(t, 1, value[int64](t, f, `SELECT count(*) FROM webhook_inbox WHERE state = 'applied'`), "what was received later stays")
}

func TestReportIsAsOfNowOrOfAStoredDay(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.add(t, "don-1", failed)
	made, err := f.report(t.Context(), operatorapi.GivingReportQuestion{CustomerID: customer})
	require.NoError(t, err)
	require.EqualValues(t, 1, made.Metrics.Failed.Value)
	_, err = f.report(t.Context(), operatorapi.GivingReportQuestion{CustomerID: customer, Date: made.Date})
	requireConflict(t, err)
	_, err = f.report(t.Context(), operatorapi.GivingReportQuestion{CustomerID: customer, Date: "today"})
	require.Error(t, err)
	_, err = f.report(t.Context(), operatorapi.GivingReportQuestion{CustomerID: "globex"})
	require.ErrorIs(t, err, store.ErrNotFound)
}
