package store

import (
	"context"
	"time"

	"rollcall.dev/pkg/store/internal/db"
)

// OffboardingStep is what an offboarding does next.
type OffboardingStep string

// Steps of an offboarding, in their order.
const (
	OffboardingBlanksRecords      OffboardingStep = "blank_records"       // addresses, hashes and letters
	OffboardingErasesMessages     OffboardingStep = "erase_messages"      // of the streams
	OffboardingErasesLateMessages OffboardingStep = "erase_late_messages" // that were on their way while messages were erased
	OffboardingRetains            OffboardingStep = "retain"              // the mapping, until PurgeAt
	OffboardingPurges             OffboardingStep = "purge"               // the mapping, in batches
	OffboardingPurged             OffboardingStep = "purged"
)

// Offboarding is a row of offboardings. A customer that returned has none.
type Offboarding struct {
	Customer string
	Step     OffboardingStep
	JobID    int64 // the step's open line in the job log; 0 if it has none
	BegunAt  time.Time
	PurgeAt  time.Time
	Cursor   string // the last VOMO id that the step has handled
	Attempts int    // failures in a row
	Blanked  int64  // mappings
	Erased   int64  // messages
	Purged   int64  // mappings
}

// BlocksReturn says whether a request to onboard the customer again has to wait for the step: what it has not blanked or purged yet
// would be mixed with what the return writes.
func (o Offboarding) BlocksReturn() bool {
	switch o.Step {
	case OffboardingBlanksRecords, OffboardingErasesMessages, OffboardingPurges:
		return true
	case OffboardingErasesLateMessages, OffboardingRetains, OffboardingPurged:
	}
	return false
}

func offboardingFrom(row *db.Offboarding, err error) (Offboarding, error) {
	if err != nil {
		return Offboarding{}, err
	}
	offboarding := Offboarding{
		Customer: row.CustomerID, Step: OffboardingStep(row.Step), BegunAt: row.BegunAt, PurgeAt: row.PurgeAt, Cursor: row.Cursor,
		Attempts: int(row.Attempts), Blanked: row.Blanked, Erased: row.Erased, Purged: row.Purged,
	}
	if row.JobID != nil {
		offboarding.JobID = *row.JobID
	}
	return offboarding, nil
}

// Offboarding returns how far the customer's offboarding is; ErrNotFound if there is none.
func (c Conn) Offboarding(ctx context.Context, customer string) (Offboarding, error) {
	return offboardingFrom(c.queries.OffboardingGet(ctx, c.dbtx, customer))
}

// LockOffboarding is Offboarding for a transaction that changes it.
func (t *Tx) LockOffboarding(ctx context.Context, customer string) (Offboarding, error) {
	return offboardingFrom(t.queries.OffboardingLock(ctx, t.dbtx, customer))
}

// ClaimOffboarding claims an offboarding whose next step is due, for hold; ErrNotFound if none is due.
func (c Conn) ClaimOffboarding(ctx context.Context, hold time.Duration) (Offboarding, error) {
	return offboardingFrom(c.queries.OffboardingClaimDue(ctx, c.dbtx, hold))
}

// BeginOffboarding adds the steps of an offboarding; the mapping is purged after retention. again says that the customer is offboarded
// already: the steps begin again, and the time of the purge stays.
func (t *Tx) BeginOffboarding(ctx context.Context, customer string, retention time.Duration, again bool) (Offboarding, error) {
	return offboardingFrom(t.queries.OffboardingBegin(ctx, t.dbtx, &db.OffboardingBeginParams{
		CustomerID: customer, Retention: retention, Again: again,
	}))
}

// SaveOffboarding stores how far an offboarding is. Its next step, or the next batch of the same one, is due after delay; a step that
// waits for the purge is due then.
func (t *Tx) SaveOffboarding(ctx context.Context, offboarding Offboarding, delay time.Duration) error {
	params := &db.OffboardingSaveParams{
		CustomerID: offboarding.Customer, Step: string(offboarding.Step), Cursor: offboarding.Cursor, Blanked: offboarding.Blanked,
		Erased: offboarding.Erased, Purged: offboarding.Purged, Delay: delay,
	}
	if offboarding.JobID != 0 {
		params.JobID = &offboarding.JobID
	}
	return t.queries.OffboardingSave(ctx, t.dbtx, params)
}

// FailOffboarding counts a failed attempt at a step, which is due again after delay.
func (c Conn) FailOffboarding(ctx context.Context, customer string, delay time.Duration) error {
	return c.queries.OffboardingFailed(ctx, c.dbtx, &db.OffboardingFailedParams{CustomerID: customer, Delay: delay})
}

// ReleaseOffboarding gives a claim back: an unfinished step is due at once.
func (c Conn) ReleaseOffboarding(ctx context.Context, customer string) error {
	return c.queries.OffboardingRelease(ctx, c.dbtx, customer)
}

// EndOffboarding ends the offboarding of a customer that returns.
func (t *Tx) EndOffboarding(ctx context.Context, customer string) error {
	if _, err := t.queries.LettersReopen(ctx, t.dbtx, customer); err != nil {
		return err
	}
	if err := t.queries.SyncConfigReturn(ctx, t.dbtx, customer); err != nil {
		return err
	}
	return t.DeleteOffboarding(ctx, customer)
}

// DeleteOffboarding deletes the row of an offboarding after which nothing is left to do.
func (t *Tx) DeleteOffboarding(ctx context.Context, customer string) error {
	return t.queries.OffboardingDelete(ctx, t.dbtx, customer)
}

// OffboardedWithoutSteps returns customers that a service of the version before offboarded, at most 100.
func (c Conn) OffboardedWithoutSteps(ctx context.Context) ([]string, error) {
	return c.queries.OffboardingsMissing(ctx, c.dbtx)
}

// DestroyCustomerKey deletes the customer's data key: what it sealed can never be opened again.
func (t *Tx) DestroyCustomerKey(ctx context.Context, customer string) error {
	return t.queries.CustomerKeyDestroy(ctx, t.dbtx, customer)
}

// ForgetOutbox deletes the customer's messages that were not published yet. It waits for a relay that is publishing one.
func (t *Tx) ForgetOutbox(ctx context.Context, customer string) (int64, error) {
	return t.queries.OutboxForget(ctx, t.dbtx, customer)
}

// SealedRequest is a pending request with its sealed secrets.
type SealedRequest struct {
	ID            int64
	SealedSecrets []byte
}

// PendingRequestsAfter returns the customer's pending requests that are newer than origin.
func (c Conn) PendingRequestsAfter(ctx context.Context, customer string, origin Origin) ([]SealedRequest, error) {
	rows, err := c.queries.RequestsPendingAfter(ctx, c.dbtx, &db.RequestsPendingAfterParams{
		CustomerID: customer, StreamCreated: origin.StreamCreated, StreamSeq: origin.column(),
	})
	requests := make([]SealedRequest, 0, len(rows))
	for _, row := range rows {
		requests = append(requests, SealedRequest(*row))
	}
	return requests, err
}

// SealRequestAgain replaces the sealed secrets of a pending request.
func (t *Tx) SealRequestAgain(ctx context.Context, request SealedRequest) error {
	return t.queries.RequestSealAgain(ctx, t.dbtx, &db.RequestSealAgainParams{ID: request.ID, SealedSecrets: request.SealedSecrets})
}

// BlankRequests deletes what the customer's settled requests said.
func (t *Tx) BlankRequests(ctx context.Context, customer string) error {
	return t.queries.RequestsBlank(ctx, t.dbtx, customer)
}

// BlankMappings deletes the addresses, hashes and digests of up to atMost mappings behind a VOMO id. It returns the last id and how many
// it changed; the last id is "" if there is no mapping behind the given one.
func (t *Tx) BlankMappings(ctx context.Context, customer, after string, atMost int32) (last string, blanked int64, err error) {
	row, err := t.queries.MappingsBlank(ctx, t.dbtx, &db.MappingsBlankParams{CustomerID: customer, After: after, AtMost: atMost})
	return row.Last, row.Blanked, err
}

// PurgeMappings deletes up to atMost mappings behind a VOMO id, and returns what BlankMappings returns.
func (t *Tx) PurgeMappings(ctx context.Context, customer, after string, atMost int32) (last string, purged int64, err error) {
	row, err := t.queries.MappingsPurge(ctx, t.dbtx, &db.MappingsPurgeParams{CustomerID: customer, After: after, AtMost: atMost})
	return row.Last, row.Purged, err
}

// OffboardLetters settles up to atMost of the customer's open letters, and deletes what they had sealed.
func (t *Tx) OffboardLetters(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.LettersOffboard(ctx, t.dbtx, &db.LettersOffboardParams{CustomerID: customer, AtMost: atMost})
}

// OffboardDeletions ends the customer's search for deletions, and deletes up to atMost of its candidates.
func (t *Tx) OffboardDeletions(ctx context.Context, customer string, atMost int32) (int64, error) {
	if err := t.queries.DeletionsOffboard(ctx, t.dbtx, customer); err != nil {
		return 0, err
	}
	return t.queries.DeletionCandidatesOffboard(ctx, t.dbtx, &db.DeletionCandidatesOffboardParams{CustomerID: customer, AtMost: atMost})
}

// PurgeLetters deletes up to atMost of the customer's settled letters.
func (t *Tx) PurgeLetters(ctx context.Context, customer string, atMost int32) (int64, error) {
	return t.queries.LettersPurge(ctx, t.dbtx, &db.LettersPurgeParams{CustomerID: customer, AtMost: atMost})
}

// PurgeCustomer deletes what else is known of the customer. Its row, the lane's epoch, the job log and the audit stay.
func (t *Tx) PurgeCustomer(ctx context.Context, customer string) error {
	return t.queries.CustomerPurge(ctx, t.dbtx, customer)
}

// samplesRenew has Postgres take new samples of the columns that had personal data of a customer: as statistics, it keeps values that
// have been deleted.
const samplesRenew = `-- name: SamplesRenew :exec
ANALYZE user_mappings (last_known_email), sync_configs (admin_email), onboarding_requests (request), outbox (payload)`

// RenewSamples makes Postgres forget the samples of deleted addresses.
func (c Conn) RenewSamples(ctx context.Context) error {
	_, err := c.dbtx.Exec(ctx, samplesRenew)
	return err
}
