package inbox_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"
	"google.golang.org/protobuf/types/known/timestamppb"

	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/giving/inbox"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/testkit"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func TestMain(m *testing.M) { testkit.Main(m) }

const customer = "acme"

var received = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// fixture is an inbox with its own database, and a Virtuous that answers what a test wants.
type fixture struct {
	intake *inbox.Intake
	runner *inbox.Runner
	vault  *vault.Vault
	pool   *pgxpool.Pool

	now   time.Time
	gifts map[int64]string // answers, by id
	err   error            // what a read returns, if not nil
	reads int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	database := testkit.Database(t)
	opened, err := store.Open(t.Context(), database, store.Options{MaxConns: 4})
	require.NoError(t, err)
	t.Cleanup(opened.Close)
	keeper, err := vault.OpenKeeper(t.Context(), "dev:"+t.TempDir()+"/key")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, keeper.Close()) })
	f := &fixture{vault: &vault.Vault{Keeper: keeper, Keys: opened}, now: received, gifts: map[int64]string{}}
	f.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	f.runner = &inbox.Runner{
		Store: opened, Vault: f.vault, Logger: zap.NewNop(), Slots: 2, Age: 30 * 24 * time.Hour, Now: func() time.Time { return f.now },
		Applier: &inbound.Applier{Store: opened, Vault: f.vault, Logger: zap.NewNop(), TransactionPurpose: "transaction"},
		Open:    func(context.Context, string) (inbox.Reader, error) { return f, nil },
	}
	f.intake = &inbox.Intake{Store: opened, Logger: zap.NewNop(), Wake: f.runner.Wake}
	f.exec(t, `INSERT INTO sync_configs (customer_id, external_system_url, destination, enabled, onboarded_at, updated_at)
		VALUES ($1, '', '{}', true, now(), now())`, customer)
	f.exec(t, `INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours,
		stuck_after_hours, organization_id, organization_name, time_zone, culture, updated_at)
		VALUES ($1, true, now(), 'designations', '{}', 72, 24, '1', 'Acme', 'UTC', 'en-US', now())`, customer)
	return f
}

// Gift answers a read of a gift.
func (f *fixture) Gift(_ context.Context, id int64) (virtuous.Gift, error) {
	f.reads++
	if f.err != nil {
		return virtuous.Gift{}, f.err
	}
	answer, ok := f.gifts[id]
	if !ok {
		return virtuous.Gift{}, virtuous.ErrNotFound
	}
	return virtuous.ParseGift([]byte(answer))
}

// Contact answers that there is no contact.
func (f *fixture) Contact(context.Context, int64) (virtuous.Contact, error) {
	return virtuous.Contact{}, virtuous.ErrNotFound
}

func (f *fixture) exec(t *testing.T, statement string, arguments ...any) {
	t.Helper()
	_, err := f.pool.Exec(t.Context(), statement, arguments...)
	require.NoError(t, err)
}

// handle hands over a message with a delivery, as the receiver publishes it.
func (f *fixture) handle(t *testing.T, event, body string, receivedAt time.Time) {
	t.Helper()
	sealed, err := f.vault.Seal(t.Context(), customer, inbox.PurposePart, []byte(body))
	require.NoError(t, err)
	key, err := f.vault.HashKey(t.Context(), customer)
	require.NoError(t, err)
	payload, err := rollcallv1.Encode(&rollcallv1.WebhookPart{
		CustomerId: customer, Event: event, Records: 1, ReceivedAt: timestamppb.New(receivedAt), Sealed: sealed, Digest: inbox.Digest(key, []byte(body)),
	})
	require.NoError(t, err)
	require.NoError(t, f.intake.Handle(t.Context(), &worker.Delivery{Subject: "rollcall.webhooks.virtuous." + customer, Data: payload}))
}

// round applies what is due.
func (f *fixture) round(t *testing.T) {
	t.Helper()
	require.NoError(t, f.runner.Round(t.Context()))
}

// due makes a part that waits for its next attempt due.
func (f *fixture) due(t *testing.T) {
	t.Helper()
	f.exec(t, `UPDATE webhook_inbox SET next_attempt_at = now() WHERE state = 'waiting'`)
}

// text returns the value of a query as text.
func (f *fixture) text(t *testing.T, query string) string {
	t.Helper()
	var text string
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT coalesce((`+query+`)::text, 'null')`).Scan(&text))
	return text
}

const inboxState = `SELECT string_agg(state || ' ' || applied || ' ' || skipped || ' ' || failed, ', ' ORDER BY id) FROM webhook_inbox`

// gift returns a whole gift.
func gift(id int, amount string) string {
	return fmt.Sprintf(`{"id":%d,"contactId":5,"giftType":"Cash","giftDate":"2026-02-19T00:00:00","amount":%s,"transactionSource":null,"transactionId":null,
		"modifiedDateTimeUtc":"2026-03-01T08:00:00.03","giftDesignations":[]}`, id, amount)
}

func delivery(event, models string) string {
	return fmt.Sprintf(`{"event":%q,"models":[%s]}`, event, models)
}

func TestAPartIsAppliedOnceHoweverOftenItComes(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	body := delivery("GiftCreate", `{"gift":`+gift(1, "12.5")+`},{"gift":`+gift(2, "13")+`}`)
	f.handle(t, "gift_create", body, received)
	f.handle(t, "gift_create", body, received.Add(time.Hour))
	f.round(t)
	f.handle(t, "gift_create", body, received.Add(2*time.Hour))
	f.round(t)
	require.Equal(t, "applied 2 0 0", f.text(t, inboxState))
	require.Equal(t, "25.5", f.text(t, `SELECT sum(amount) FROM partner_gifts`))
	require.Equal(t, "2", f.text(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.gift.created.acme'`))
	require.Zero(t, f.reads)
}

func TestABrokenRecordIsALetterAndDoesNotStopTheOthers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.handle(t, "gift_create", delivery("GiftCreate", `null,{"gift":`+gift(1, "12.5")+`},{"gift":{"amount":1}},{"contact":{"id":7}}`), received)
	f.round(t)
	require.Equal(t, "letter 1 0 3", f.text(t, inboxState))
	require.Equal(t, "the entry is no object, the entry has no id, the entry has a contact where the event is about a gift",
		f.text(t, `SELECT string_agg(reason, ', ' ORDER BY origin) FROM dead_letters WHERE state = 'review'`))

	var sealed []byte
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT payload_sealed FROM dead_letters WHERE reason = 'the entry has no id'`).Scan(&sealed))
	payload, err := f.vault.Open(t.Context(), customer, "letter_payload", sealed)
	require.NoError(t, err)
	retry := func() { // what a retry of the letter publishes
		require.NoError(t, f.intake.Handle(t.Context(), &worker.Delivery{Subject: "rollcall.webhooks.virtuous." + customer, Data: payload}))
		f.round(t)
	}
	retry()
	retry()
	require.Equal(t, "letter 1 0 3, letter 0 0 1", f.text(t, inboxState))
	require.Equal(t, "5", f.text(t, `SELECT count(*) FROM dead_letters`), "each retry that fails has a letter")
}

func TestAnIncompleteRecordIsReadAndWaitsWhileItCannotBe(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.err = virtuous.ErrUnavailable
	f.handle(t, "gift_update", delivery("GiftUpdate", `{"gift":{"id":1,"amount":1}},{"gift":`+gift(2, "13")+`}`), received)
	f.round(t)
	require.Equal(t, "waiting 0 0 0", f.text(t, inboxState))
	require.Equal(t, "2", f.text(t, `SELECT string_agg(virtuous_gift_id::text, ',') FROM partner_gifts`), "what is complete does not wait")
	require.Equal(t, "true", f.text(t, `SELECT next_attempt_at > now() + interval '4 seconds' FROM webhook_inbox`))

	f.err, f.gifts[1] = nil, gift(1, "14")
	f.due(t)
	f.round(t)
	require.Equal(t, "applied 1 1 0", f.text(t, inboxState))
	require.Equal(t, "27", f.text(t, `SELECT sum(amount) FROM partner_gifts`))
	require.Equal(t, "true", f.text(t, `SELECT read_at IS NOT NULL FROM partner_gifts WHERE virtuous_gift_id = 1`))
}

func TestARecordThatVirtuousDoesNotHaveIsSkippedAfterAWhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.handle(t, "gift_update", delivery("GiftUpdate", `{"gift":{"id":1,"amount":1}}`), received)
	f.round(t)
	require.Equal(t, "waiting 0 0 0", f.text(t, inboxState), "it may not be found yet")
	f.now = received.Add(11 * time.Minute)
	f.due(t)
	f.round(t)
	require.Equal(t, "applied 0 1 0", f.text(t, inboxState))
}

func TestPartsOfAPausedCustomerWait(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exec(t, `UPDATE sync_configs SET paused_at = now()`)
	f.handle(t, "gift_create", delivery("GiftCreate", `{"gift":`+gift(1, "12.5")+`}`), received)
	f.round(t)
	require.Equal(t, "waiting 0 0 0", f.text(t, inboxState))
	f.exec(t, `UPDATE sync_configs SET paused_at = NULL`)
	f.round(t)
	require.Equal(t, "applied 1 0 0", f.text(t, inboxState))
}

func TestASecondDeletionOfARestoredGiftIsApplied(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	deletion := delivery("GiftDelete", `{"id":1}`)
	f.handle(t, "gift_delete", deletion, received)
	f.round(t)
	f.now, f.gifts[1] = received.Add(time.Hour), gift(1, "12.5")
	f.handle(t, "gift_update", delivery("GiftUpdate", `{"gift":{"id":1}}`), f.now) // it is read
	f.round(t)
	require.Equal(t, "live", f.text(t, `SELECT state FROM partner_gifts`))
	f.handle(t, "gift_delete", deletion, received.Add(2*time.Hour))
	f.round(t)
	require.Equal(t, "deleted", f.text(t, `SELECT state FROM partner_gifts`))
}

func TestAMessageThatIsNoPartIsPermanentlyWrong(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for _, data := range []string{"", "{", `{}`, `{"customerId":"globex","event":"gift_create","records":1}`} {
		err := f.intake.Handle(t.Context(), &worker.Delivery{Subject: "rollcall.webhooks.virtuous." + customer, Data: []byte(data)})
		require.Equal(t, "webhook_part_unreadable", fault.CodeOf(err), data)
	}
	require.Equal(t, "0", f.text(t, `SELECT count(*) FROM webhook_inbox`))
}

func TestOldPartsAreForgotten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.handle(t, "gift_create", delivery("GiftCreate", `{"gift":`+gift(1, "12.5")+`}`), time.Now().Add(-31*24*time.Hour))
	forget := func() string {
		_, err := f.runner.Store.ForgetInboxParts(t.Context(), f.runner.Age, 100)
		require.NoError(t, err)
		return f.text(t, `SELECT count(*) FROM webhook_inbox`)
	}
	require.Equal(t, "1", forget(), "it waits")
	f.round(t)
	require.Equal(t, "0", forget())
}
