package inbox_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"
	"go.uber.org/zap"

	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/giving/inbox"
	"rollcall.dev/pkg/round"
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
	rounds *round.Runner
	kind   round.Kind
	store  *store.Store
	vault  *vault.Vault
	pool   *pgxpool.Pool

	gifts  map[int64]string // answers, by id
	err    error            // what a read returns, if not nil
	errors map[int64]error  // what a read of a gift returns, by id
	reads  int
	during func() // is called by each read, or nil
	open   func(ctx context.Context, customer string) (inbox.Reader, error)
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
	f := &fixture{vault: &vault.Vault{Keeper: keeper, Keys: opened}, gifts: map[int64]string{}, errors: map[int64]error{}}
	f.pool, err = pgxpool.New(t.Context(), database)
	require.NoError(t, err)
	t.Cleanup(f.pool.Close)
	applying := &inbox.Applying{
		Store: opened, Vault: f.vault, Logger: zap.NewNop(),
		Applier: &inbound.Applier{Store: opened, Vault: f.vault, Logger: zap.NewNop(), TransactionPurpose: "transaction"},
		Open: func(ctx context.Context, of string) (inbox.Reader, error) {
			if f.open != nil {
				return f.open(ctx, of)
			}
			return f, nil
		},
	}
	f.store, f.kind = opened, applying.Kind()
	f.rounds = round.New(round.Config{Store: opened, Logger: zap.NewNop(), Slots: 2, Kind: f.kind})
	f.intake = &inbox.Intake{Store: opened, Logger: zap.NewNop(), Wake: func() {}}
	f.exec(t, `CREATE TABLE test_clock AS SELECT $1::timestamptz AS now`, received)
	f.exec(t, `CREATE OR REPLACE FUNCTION rollcall_now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now FROM test_clock'`)
	f.addCustomer(t, customer)
	return f
}

// addCustomer adds a customer with giving.
func (f *fixture) addCustomer(t *testing.T, id string) {
	t.Helper()
	f.exec(t, `INSERT INTO sync_configs (customer_id, external_system_url, destination, enabled, onboarded_at, updated_at)
		VALUES ($1, '', '{}', true, now(), now())`, id)
	f.exec(t, `INSERT INTO virtuous_configs (customer_id, enabled, onboarded_at, designations_field, defaults, needs_review_after_hours,
		stuck_after_hours, organization_id, organization_name, time_zone, culture, updated_at)
		VALUES ($1, true, now(), 'designations', '{}', 72, 24, '1', 'Acme', 'UTC', 'en-US', now())`, id)
}

// Gift answers a read of a gift.
func (f *fixture) Gift(_ context.Context, id int64) (virtuous.Gift, error) {
	f.reads++
	if f.during != nil {
		f.during()
	}
	if err := f.errors[id]; err != nil {
		return virtuous.Gift{}, err
	}
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
	f.handleOf(t, customer, event, body, receivedAt)
}

func (f *fixture) handleOf(t *testing.T, customer, event, body string, receivedAt time.Time) {
	t.Helper()
	keys, err := inbox.OpenKeys(t.Context(), f.vault, customer, "1")
	require.NoError(t, err)
	part, err := inbox.Part{Customer: customer, Event: event, Records: 1, Body: []byte(body), ReceivedAt: receivedAt}.Message(keys)
	require.NoError(t, err)
	payload, err := rollcallv1.Encode(part)
	require.NoError(t, err)
	require.NoError(t, f.intake.Handle(t.Context(), &worker.Delivery{Subject: "rollcall.webhooks.virtuous." + customer, Data: payload}))
}

// round applies what is due.
func (f *fixture) round(t *testing.T) {
	t.Helper()
	customers, err := f.store.InboxCustomers(t.Context())
	require.NoError(t, err)
	for _, one := range customers {
		require.Equal(t, round.End{}, f.rounds.Work(t.Context(), round.Next{Customer: one}, nil))
	}
}

// setNow sets the database's clock.
func (f *fixture) setNow(t *testing.T, now time.Time) {
	t.Helper()
	f.exec(t, `UPDATE test_clock SET now = $1`, now)
}

// due makes a part that waits for its next attempt due.
func (f *fixture) due(t *testing.T) {
	t.Helper()
	f.exec(t, `UPDATE webhook_inbox SET next_attempt_at = rollcall_now() WHERE state = 'waiting'`)
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
	f.handle(t, "gift_create", body, received.Add(time.Minute))
	f.round(t)
	f.handle(t, "gift_create", body, received.Add(2*time.Minute))
	f.round(t)
	require.Equal(t, "applied 2 0 0", f.text(t, inboxState))
	f.handle(t, "gift_create", body, received.Add(2*time.Hour))
	f.round(t)
	require.Equal(t, "applied 0 2 0", f.text(t, inboxState), "it is known")
	require.Equal(t, "25.5", f.text(t, `SELECT sum(amount) FROM partner_gifts`))
	require.Equal(t, "2", f.text(t, `SELECT count(*) FROM outbox WHERE subject = 'rollcall.events.gift.created.acme'`))
	require.Zero(t, f.reads)
}

// Virtuous says that a gift has changed without saying when: each notice has the same bytes.
func TestANoticeWithoutATimeIsAppliedEachTimeItComesLater(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	for i, amount := range []string{"13", "14", "15"} {
		f.gifts[5] = gift(5, amount)
		at := received.Add(time.Duration(i) * 10 * time.Minute)
		f.setNow(t, at)
		f.handle(t, "gift_update", `{"event":"GiftUpdate","gift":{"id":5}}`, at)
		f.handle(t, "gift_update", `{"event":"GiftUpdate","gift":{"id":5}}`, at.Add(time.Minute))
		f.round(t)
		require.Equal(t, amount, f.text(t, `SELECT amount FROM partner_gifts`))
		require.Equal(t, i+1, f.reads, "the sender repeats a request for some minutes")
	}
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
	require.Equal(t, "true", f.text(t, `SELECT next_attempt_at = rollcall_now() + interval '5 seconds' FROM webhook_inbox`))

	f.err, f.gifts[1] = nil, gift(1, "14")
	f.due(t)
	f.round(t)
	require.Equal(t, "applied 1 1 0", f.text(t, inboxState))
	require.Equal(t, "27", f.text(t, `SELECT sum(amount) FROM partner_gifts`))
	require.Equal(t, "true", f.text(t, `SELECT read_at IS NOT NULL FROM partner_gifts WHERE virtuous_gift_id = 1`))
}

func TestAPartThatCannotBeAppliedBecomesALetterAndTheOthersAreApplied(t *testing.T) {
	t.Parallel()
	for name, broken := range map[string]string{
		"an error": `CREATE FUNCTION odd() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'odd' USING ERRCODE = '23514'; END $$`,
		"a panic":  "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t)
			first := `{"gift":{"id":1}}`
			f.gifts[1] = gift(1, "1")
			if broken != "" {
				f.exec(t, broken)
				f.exec(t, `CREATE TRIGGER odd BEFORE INSERT ON partner_gifts FOR EACH ROW WHEN (NEW.virtuous_gift_id = 1) EXECUTE FUNCTION odd()`)
			} else {
				f.during = func() { panic("odd") }
			}
			f.handle(t, "gift_update", delivery("GiftUpdate", first), received)
			f.handle(t, "gift_create", delivery("GiftCreate", `{"gift":`+gift(2, "13")+`}`), received)
			f.round(t)
			require.Equal(t, "waiting 0 0 0, applied 1 0 0", f.text(t, inboxState))
			for range 7 {
				require.Equal(t, "0", f.text(t, `SELECT count(*) FROM dead_letters`))
				f.due(t)
				f.round(t)
			}
			require.Equal(t, "letter 0 0 1, applied 1 0 0", f.text(t, inboxState))
			require.Equal(t, "webhook_unapplied 8", f.text(t, `SELECT error_code || ' ' || attempts FROM dead_letters`))
		})
	}
}

func TestARecordWithAnOddAnswerBecomesALetterAndTheOthersAreRead(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.errors[1], f.gifts[2] = virtuous.ErrUnknownAnswer, gift(2, "13")
	f.handle(t, "gift_update", delivery("GiftUpdate", `{"gift":{"id":1}},{"gift":{"id":2}}`), received)
	f.round(t)
	require.Equal(t, "waiting 0 0 0", f.text(t, inboxState), "another answer may come")
	require.Equal(t, "13", f.text(t, `SELECT sum(amount) FROM partner_gifts`))
	for range 7 {
		f.due(t)
		f.round(t)
	}
	require.Equal(t, "letter 0 1 1", f.text(t, inboxState))
	require.Equal(t, "webhook_unapplied", f.text(t, `SELECT error_code FROM dead_letters`))
}

func TestAnAnswerWithoutFieldsIsNoVersion(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.gifts[1] = `{"id":1,"contactId":5,"giftType":"Cash","giftDate":"2026-02-19","amount":"forty","modifiedDateTimeUtc":"2026-03-01T08:00:00"}`
	f.handle(t, "gift_update", delivery("GiftUpdate", `{"gift":{"id":1}}`), received)
	f.round(t)
	require.Equal(t, "waiting 0 0 0", f.text(t, inboxState))
	for range 7 {
		f.due(t)
		f.round(t)
	}
	require.Equal(t, "letter 0 0 1", f.text(t, inboxState))
	require.Equal(t, "0", f.text(t, `SELECT count(*) FROM partner_gifts`))
}

func TestAFaultOfVirtuousMakesNoLetterAndIsNotRepeatedForEachRecord(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.err = virtuous.ErrUnavailable
	f.handle(t, "gift_update", delivery("GiftUpdate", `{"gift":{"id":1}},{"gift":{"id":2}}`), received)
	for range 9 {
		f.round(t)
		f.due(t)
	}
	require.Equal(t, "waiting 0 0 0", f.text(t, inboxState))
	require.Equal(t, 9, f.reads)
	require.Equal(t, "9 0", f.text(t, `SELECT attempts || ' ' || failures FROM webhook_inbox`))

	f.err, f.errors[1], f.gifts[2] = nil, virtuous.ErrUnknownAnswer, gift(2, "13")
	for range 7 {
		f.round(t)
		f.due(t)
		require.Equal(t, "waiting 0 0 0", f.text(t, inboxState), "an outage is no attempt at the part")
	}
	f.round(t)
	require.Equal(t, "letter 0 1 1", f.text(t, inboxState))
	require.Equal(t, "webhook_unapplied 8", f.text(t, `SELECT error_code || ' ' || attempts FROM dead_letters`))
}

func TestADeletionThatComesWhileAnEarlierOneIsAppliedIsAppliedToo(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.handle(t, "gift_delete", delivery("GiftDelete", `{"id":1}`), received)
	parts, err := f.store.ClaimInboxParts(t.Context(), customer, time.Minute, 1)
	require.NoError(t, err)
	f.handle(t, "gift_delete", delivery("GiftDelete", `{"id":1}`), received.Add(time.Hour))
	end := func(claimed store.InboxPart) (ended bool) {
		require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) (err error) {
			ended, err = tx.EndInboxPart(ctx, customer, claimed, store.InboxEnd{State: store.InboxApplied})
			return err
		}))
		return ended
	}
	require.False(t, end(parts[0]), "another deletion waits")
	again, err := f.store.ClaimInboxParts(t.Context(), customer, 0, 1)
	require.NoError(t, err)
	third, err := f.store.ClaimInboxParts(t.Context(), customer, time.Minute, 1)
	require.NoError(t, err)
	_, err = f.store.PostponeInboxPart(t.Context(), customer, again[0], 0, false)
	require.NoError(t, err)
	require.Equal(t, "true", f.text(t, `SELECT next_attempt_at > rollcall_now() FROM webhook_inbox`), "another process has claimed it")
	require.False(t, end(again[0]))
	require.True(t, end(third[0]))
}

func TestACustomerWhoseVirtuousIsSlowDelaysNoOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addCustomer(t, "slow")
	answered := make(chan struct{})
	f.open = func(ctx context.Context, of string) (inbox.Reader, error) {
		if of == "slow" {
			select {
			case <-answered:
			case <-ctx.Done():
			}
		}
		return f, nil
	}
	f.gifts[1] = gift(1, "1")
	ends := testkit.NewSignal[string]()
	f.kind.Ended = func(of string, _ round.End) { ends.Send(of) }
	rounds := round.New(round.Config{Store: f.store, Logger: zap.NewNop(), Slots: 2, Kind: f.kind})
	f.handleOf(t, "slow", "gift_update", delivery("GiftUpdate", `{"gift":{"id":1}}`), received)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { rounds.Run(ctx) })
	defer running.Wait()
	defer stop()
	for i := range 3 { // each in a round of its own, while the other customer's goes on
		f.handle(t, "gift_create", delivery("GiftCreate", `{"gift":`+gift(10+i, "13")+`}`), received)
		rounds.Wake()
		ends.Require(t, time.Minute, customer)
	}
	require.Equal(t, "waiting 0 0 0, applied 1 0 0, applied 1 0 0, applied 1 0 0", f.text(t, inboxState))
	close(answered)
	ends.Require(t, time.Minute, "slow")
}

func TestAnAppliedPartSaysThatTheKeyServiceAnswers(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		return event.Raise(ctx, tx, event.AlertFor(rollcallv1.Installation, event.AlertKeeperUnavailable))
	}))
	f.handle(t, "gift_create", delivery("GiftCreate", `{"gift":`+gift(1, "12.5")+`}`), received)
	f.round(t)
	require.Equal(t, "0", f.text(t, `SELECT count(*) FROM alerts WHERE cleared_at IS NULL`))
}

func TestARecordThatVirtuousDoesNotHaveIsSkippedAfterAWhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.handle(t, "gift_update", delivery("GiftUpdate", `{"gift":{"id":1,"amount":1}}`), received)
	f.round(t)
	require.Equal(t, "waiting 0 0 0", f.text(t, inboxState), "it may not be found yet")
	f.setNow(t, received.Add(11*time.Minute))
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

// The receiver's clock is not the database's, which stamps reads.
func TestADeletionOfAboutTheTimeOfAReadIsDecidedByVirtuous(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]time.Duration{"the receiver's clock is behind": -5 * time.Second, "it is ahead": 5 * time.Second} {
		f := newFixture(t)
		f.gifts[1] = gift(1, "12.5")
		f.setNow(t, received)
		f.handle(t, "gift_update", delivery("GiftUpdate", `{"gift":{"id":1}}`), received)
		f.round(t)
		f.setNow(t, received.Add(time.Second))
		deletion := delivery("GiftDelete", `{"id":1}`)
		f.handle(t, "gift_delete", deletion, received.Add(ahead))
		f.err = virtuous.ErrUnavailable
		f.round(t)
		require.Equal(t, "live", f.text(t, `SELECT state FROM partner_gifts`), "Virtuous does not say, and the deletion waits: %s", name)
		f.err = nil
		f.due(t)
		f.round(t)
		require.Equal(t, "live", f.text(t, `SELECT state FROM partner_gifts`), "it was restored: %s", name)

		delete(f.gifts, 1)
		f.handle(t, "gift_delete", deletion, received.Add(10*time.Minute+ahead))
		f.setNow(t, received.Add(10*time.Minute))
		f.exec(t, `UPDATE partner_gifts SET read_at = rollcall_now()`)
		f.round(t)
		require.Equal(t, "deleted", f.text(t, `SELECT state FROM partner_gifts`), name)
		require.Equal(t, 4, f.reads, name)
	}
}

func TestASecondDeletionOfARestoredGiftIsApplied(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	deletion := delivery("GiftDelete", `{"id":1}`)
	f.handle(t, "gift_delete", deletion, received)
	f.round(t)
	f.setNow(t, received.Add(time.Hour))
	f.gifts[1] = gift(1, "12.5")
	f.handle(t, "gift_update", delivery("GiftUpdate", `{"gift":{"id":1}}`), received.Add(time.Hour)) // it is read
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
	f.handle(t, "gift_create", delivery("GiftCreate", `{"gift":`+gift(1, "12.5")+`}`), received.Add(-31*24*time.Hour))
	forget := func() string {
		_, err := f.store.ForgetInboxParts(t.Context(), 30*24*time.Hour, 100)
		require.NoError(t, err)
		return f.text(t, `SELECT count(*) FROM webhook_inbox`)
	}
	require.Equal(t, "1", forget(), "it waits")
	f.round(t)
	require.Equal(t, "0", forget())
}

// A part may come, be read, or be retried as a letter after the customer has gone to another organization, whose ids mean other records.
func TestPartsOfAnotherOrganizationAreNotApplied(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.handle(t, "gift_create", delivery("GiftCreate", `null`), received)
	f.handle(t, "gift_update", delivery("GiftUpdate", `{"gift":{"id":1,"amount":1}},{"gift":`+gift(2, "13")+`}`), received)
	f.during = func() { // as onboarding does
		f.exec(t, `DELETE FROM webhook_inbox`)
		f.exec(t, `UPDATE virtuous_configs SET organization_id = '2'`)
	}
	f.err = virtuous.ErrUnavailable
	f.round(t)
	require.Equal(t, 1, f.reads)
	require.Equal(t, "0", f.text(t, `SELECT count(*) FROM partner_gifts`), "the part was claimed before")

	f.handle(t, "gift_create", delivery("GiftCreate", `{"gift":`+gift(3, "12.5")+`}`), received)
	var sealed []byte
	require.NoError(t, f.pool.QueryRow(t.Context(), `SELECT payload_sealed FROM dead_letters`).Scan(&sealed))
	payload, err := f.vault.Open(t.Context(), customer, "letter_payload", sealed)
	require.NoError(t, err)
	require.NoError(t, f.intake.Handle(t.Context(), &worker.Delivery{Subject: "rollcall.webhooks.virtuous." + customer, Data: payload}))
	require.Equal(t, "0", f.text(t, `SELECT count(*) FROM webhook_inbox`))
}

// The part waits for the transaction that forgets the organization before, and then sees the new one.
func TestPartsAreNotAddedWhileAnOrganizationIsForgotten(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	keys, err := inbox.OpenKeys(t.Context(), f.vault, customer, "1")
	require.NoError(t, err)
	part, err := inbox.Part{Customer: customer, Event: "gift_create", Records: 1, Body: []byte("{}"), ReceivedAt: received}.Message(keys)
	require.NoError(t, err)
	added := make(chan error)
	require.NoError(t, f.store.InTx(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		require.NoError(t, tx.LockInboundAgainstParts(ctx, customer))
		go func() {
			_, err := inbox.Add(t.Context(), f.store.Conn, part)
			added <- err
		}()
		require.Eventually(t, func() bool {
			return f.text(t, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) == "1"
		}, time.Minute, time.Millisecond)
		_, err := tx.DisableGiving(ctx, customer, store.GivingRemoved)
		return err
	}))
	require.NoError(t, <-added)
	require.Equal(t, "0", f.text(t, `SELECT count(*) FROM webhook_inbox`))
}
