package participation_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/participation"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// newBook returns a book that seals by turning bytes around.
func newBook(key string) participation.Book {
	turn := func(plain []byte) ([]byte, error) {
		turned := bytes.Clone(plain)
		for i := range turned {
			turned[i] ^= 0xff
		}
		return turned, nil
	}
	return participation.Book{HashKey: []byte(key), Seal: turn, Open: turn}
}

func answer(entries ...vomo.Participation) vomo.UserParticipations {
	return vomo.UserParticipations{Known: true, Entries: entries}
}

func entry(key, content string, hours float64) vomo.Participation {
	return vomo.Participation{Key: key, Content: []byte(content), Hours: hours}
}

func read(t *testing.T, book participation.Book, before *store.Participations, answer vomo.UserParticipations) (store.Participations, participation.Changes) {
	t.Helper()
	reading, err := book.Read("1", before, answer)
	require.NoError(t, err)
	require.True(t, reading.Known)
	require.Equal(t, before == nil || !bytes.Equal(before.Digest, reading.Row.Digest), reading.IsNew)
	return reading.Row, reading.Changes
}

func TestChangesAreFoundByKey(t *testing.T) {
	t.Parallel()
	book := newBook("key")
	first, changes := read(t, book, nil, answer(entry("1", `{"h":1}`, 1), entry("2", `{"h":2}`, 2), entry("", `{"x":1}`, 0)))
	require.Len(t, changes.Created, 3)
	require.Equal(t, []string{"1", "2"}, changes.Created[:2])
	require.Regexp(t, `^entry-[0-9a-f]{24}$`, changes.Created[2])
	require.NotContains(t, string(first.Sealed), "entries", "it is sealed")

	same, changes := read(t, book, &first, answer(entry("2", `{"h":2}`, 2), entry("", `{"x":1}`, 0), entry("1", `{"h":1}`, 1)))
	require.Zero(t, changes.Count(), "the order means nothing")
	require.Equal(t, first, same)

	second, changes := read(t, book, &first, answer(entry("1", `{"h":9}`, 9), entry("", `{"x":1}`, 0), entry("3", `{}`, 0)))
	require.Equal(t, participation.Changes{Created: []string{"3"}, Changed: []string{"1"}, Removed: []string{"2"}}, changes)
	require.NotEqual(t, first.Digest, second.Digest)

	other, _ := read(t, newBook("another key"), nil, answer(entry("1", `{"h":9}`, 9), entry("", `{"x":1}`, 0), entry("3", `{}`, 0)))
	require.NotEqual(t, second.Digest, other.Digest, "digests are keyed")
	require.NotEqual(t, second.SummaryDigest, other.SummaryDigest)
}

func TestEqualParticipationsOfTwoUsersHaveDifferentDigests(t *testing.T) {
	t.Parallel()
	book := newBook("key")
	one, err := book.Read("1", nil, answer(entry("", `{"h":9}`, 9)))
	require.NoError(t, err)
	other, err := book.Read("2", nil, answer(entry("", `{"h":9}`, 9)))
	require.NoError(t, err)
	require.NotEqual(t, one.Row.Digest, other.Row.Digest)
	require.NotEqual(t, one.Row.SummaryDigest, other.Row.SummaryDigest)
	require.NotEqual(t, one.Changes.Created, other.Changes.Created)
}

func TestEqualKeysAreNumberedByContent(t *testing.T) {
	t.Parallel()
	book := newBook("key")
	one, other, nameless := entry("project_date-1", `{"h":1}`, 1), entry("project_date-1", `{"h":2}`, 2), entry("", `{}`, 0)
	first, changes := read(t, book, nil, answer(one, other, nameless, nameless))
	require.Len(t, changes.Created, 4)
	require.Contains(t, changes.Created, "project_date-1-2")
	_, changes = read(t, book, &first, answer(nameless, other, nameless, one))
	require.Zero(t, changes.Count())
}

func TestUnknownListRemovesNothing(t *testing.T) {
	t.Parallel()
	book := newBook("key")
	first, _ := read(t, book, nil, answer(entry("1", `{}`, 1)))
	same, changes := read(t, book, &first, vomo.UserParticipations{})
	require.Zero(t, changes.Count())
	require.Equal(t, first, same)

	fields, changes := read(t, book, &first, vomo.UserParticipations{Fields: []byte(`[1]`)})
	require.Zero(t, changes.Count())
	require.NotEqual(t, first.Digest, fields.Digest, "profile fields are kept, too")
	require.Equal(t, first.SummaryDigest, fields.SummaryDigest, "a destination gets nothing of them")

	reading, err := book.Read("1", nil, vomo.UserParticipations{Fields: []byte(`[1]`)})
	require.NoError(t, err)
	require.False(t, reading.Known, "without a list, the user is not covered")

	_, changes = read(t, book, &first, answer())
	require.Equal(t, []string{"1"}, changes.Removed, "an empty list is known")
}

func TestDestinationGetsSumsOnceAndNothingForUsersWithoutParticipations(t *testing.T) {
	t.Parallel()
	book := newBook("key")
	at := time.Date(2026, time.January, 2, 10, 0, 0, 0, time.UTC)
	none, _ := read(t, book, nil, answer())
	fields, due, err := book.Due(none)
	require.NoError(t, err)
	require.Nil(t, fields)
	require.False(t, due)

	some, _ := read(t, book, &none, answer(entry("1", `{}`, 0.1), entry("2", `{"a":1}`, 0.2), vomo.Participation{Key: "3", Content: []byte(`{}`), At: at}))
	fields, due, err = book.Due(some)
	require.NoError(t, err)
	require.Equal(t, &destination.Participations{Count: 3, Hours: 0.3, LastAt: &at}, fields)
	require.True(t, due)

	some.SentDigest = some.SummaryDigest
	fields, due, err = book.Due(some)
	require.NoError(t, err)
	require.False(t, due)
	require.NotNil(t, fields, "each later write has the fields, too")

	gone, _ := read(t, book, &some, answer())
	fields, due, err = book.Due(gone)
	require.NoError(t, err)
	require.Equal(t, &destination.Participations{}, fields, "the destination learns that there are none left")
	require.True(t, due)
}

func TestRowsOfAnotherKeyAreErrors(t *testing.T) {
	t.Parallel()
	book := newBook("key")
	row, _ := read(t, book, nil, answer(entry("1", `{}`, 1)))
	row.Sealed = []byte("broken")
	_, _, err := book.Due(row)
	require.Error(t, err)
	_, err = book.Read("1", &row, answer())
	require.Error(t, err)
}
