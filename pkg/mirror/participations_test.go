package mirror_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/mirror"
	"rollcall.dev/pkg/participation"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// book seals nothing: what is stored is readable in the test.
func book() *participation.Book {
	same := func(plain []byte) ([]byte, error) { return plain, nil }
	return &participation.Book{HashKey: []byte("the customer's hash key"), Seal: same, Open: same}
}

// participated returns the row of a user with one participation of that many hours.
func participated(t testing.TB, id string, hours float64) store.Participations {
	t.Helper()
	reading, err := book().Read(id, nil, vomo.UserParticipations{Known: true, Entries: []vomo.Participation{{Key: "1", Content: []byte("{}"), Hours: hours}}})
	require.NoError(t, err)
	return reading.Row
}

// refresh applies a page of one user whose participations were read, as a refresh does.
func (f *fixture) refresh(t testing.TB, user vomo.User, row store.Participations) (mirror.Outcome, error) {
	t.Helper()
	options := mirror.ApplyOptions{PresumeOutage: true, Participations: map[string]store.Participations{user.ID: row}}
	return f.Apply(t.Context(), page(1, user), options, func(ctx context.Context, tx *store.Tx, outcome mirror.Outcome) error {
		row.SentDigest = outcome.Participations[user.ID]
		return tx.SaveParticipations(ctx, customer, row)
	})
}

func (c *crm) fields(id string) *destination.Participations {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.records[id].CustomFields.Participations
}

func TestChangedParticipationsAreWrittenOnce(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Participations, f.Events = book(), true
	f.mustApply(t, users(3)...)
	require.Len(t, f.crm.requests(), 3)
	require.Nil(t, f.crm.fields("1"))

	outcome, err := f.refresh(t, user("1"), participated(t, "1", 2))
	require.NoError(t, err)
	require.Equal(t, 1, outcome.Written)
	require.Equal(t, &destination.Participations{Count: 1, Hours: 2}, f.crm.fields("1"))
	events := queryColumn[int64](t, f, `SELECT count(*) FROM outbox WHERE subject LIKE '%user.updated%'`)

	require.Zero(t, f.mustApply(t, users(3)...).Written, "the destination has them")
	require.Equal(t, events, queryColumn[int64](t, f, `SELECT count(*) FROM outbox WHERE subject LIKE '%user.updated%'`), "no version of the user changed")
	require.Equal(t, []int64{0}, events)

	require.Equal(t, 1, f.mustApply(t, user("1", withFirstName("Ana"), updatedAfter(time.Hour))).Written)
	require.Equal(t, &destination.Participations{Count: 1, Hours: 2}, f.crm.fields("1"), "each write has them")
}

func TestCrashAfterTheWriteOfParticipationsRepeatsIt(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Participations = book()
	f.mustApply(t, users(2)...)
	row := participated(t, "1", 2)
	compared, err := f.Compare(t.Context(), []vomo.Page{page(1, user("1"))}, mirror.ApplyOptions{Participations: map[string]store.Participations{"1": row}})
	require.NoError(t, err)
	_, err = compared.Write(t.Context())
	require.NoError(t, err) // and the process dies before it commits

	_, err = f.refresh(t, user("1"), row)
	require.NoError(t, err)
	require.Equal(t, []string{"1", "2", "1", "1"}, sortedFirst(f.crm.requests(), 2))
	require.Zero(t, f.mustApply(t, users(2)...).Written)
}

// sortedFirst returns requests with the first n in order: they were sent at the same time.
func sortedFirst(requests []string, n int) []string {
	if requests[0] > requests[n-1] {
		requests[0], requests[n-1] = requests[n-1], requests[0]
	}
	return requests
}

func TestDestinationWithoutFieldsGetsNothingOfParticipations(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.mustApply(t, users(1)...)
	outcome, err := f.refresh(t, user("1"), participated(t, "1", 2))
	require.NoError(t, err)
	require.Zero(t, outcome.Written)
	require.Nil(t, outcome.Participations)

	f.Participations = book() // it has fields from now on
	require.Equal(t, 1, f.mustApply(t, users(1)...).Written)
	require.NotNil(t, f.crm.fields("1"))
}

func TestParticipationsWaitWithTheLetterOfTheirUserAndComeWithItsRetry(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Participations = book()
	f.crm.respond(http.StatusUnprocessableEntity, `{"code":"bad"}`, "1")
	f.mustApply(t, users(2)...)
	require.Len(t, f.letters(t), 1)
	outcome, err := f.refresh(t, user("1"), participated(t, "1", 2))
	require.NoError(t, err)
	require.Zero(t, outcome.Written+outcome.Failed, "the letter's retry writes the user")

	f.crm.acceptAll()
	outcome, err = f.apply(t, page(1, user("1")), mirror.ApplyOptions{Redrive: true})
	require.NoError(t, err)
	require.Equal(t, 1, outcome.Written)
	require.Equal(t, &destination.Participations{Count: 1, Hours: 2}, f.crm.fields("1"))
}

func TestOlderVersionIsNotWrittenForItsParticipations(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Participations = book()
	f.mustApply(t, user("1", updatedAfter(time.Hour)))
	outcome, err := f.refresh(t, user("1", withFirstName("Old")), participated(t, "1", 2))
	require.NoError(t, err)
	require.Zero(t, outcome.Written)
}

func TestProbeHasTheFieldsOfParticipations(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Participations = book()
	f.mustApply(t, users(1)...)
	_, err := f.refresh(t, user("1"), participated(t, "1", 2))
	require.NoError(t, err)
	result, err := f.ProbeDestination(t.Context(), user("1"))
	require.NoError(t, err)
	require.Equal(t, mirror.ProbeAccepted, result)
	require.Equal(t, &destination.Participations{Count: 1, Hours: 2}, f.crm.fields("1"), "a probe takes nothing away")
}

func TestEchoOfAnOwnedFieldIsWrittenIfParticipationsAreDue(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.Participations, f.Owned = book(), []string{"phone"}
	f.mustApply(t, users(1)...)
	outcome, err := f.refresh(t, user("1", withPhone("+1"), updatedAfter(time.Hour)), participated(t, "1", 2))
	require.NoError(t, err)
	require.Equal(t, 1, outcome.Written)
	require.Equal(t, &destination.Participations{Count: 1, Hours: 2}, f.crm.fields("1"))
}
