package rest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
)

// said answers with this status and body, and returns the error of a write.
func said(t *testing.T, status int, body string) error {
	t.Helper()
	_, err := serve(t, answering(status, body)).Upsert(t.Context(), record())
	require.Error(t, err)
	return err
}

func TestAnswerToRejectedRecordIsNotInErrorText(t *testing.T) {
	t.Parallel()
	const words = "canary@example.org is no address"
	for name, answer := range map[string]destination.Answer{
		"a refusal":                    {Status: 422, Text: `{"code":"invalid","message":"` + words + `"}`},
		"a refusal that is no JSON":    {Status: 400, Text: words},
		"a forbidden record":           {Status: 403, Text: `{"message":"` + words + `"}`},
		"a failure in a success":       {Status: 200, Text: `{"errors":[{"message":"` + words + `"}]}`},
		"a failure of the destination": {Status: 500, Text: words},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := said(t, answer.Status, answer.Text)
			kept, ok := destination.AnswerOf(fmt.Errorf("write: %w", err))
			require.True(t, ok)
			require.Equal(t, answer, kept)
			require.NotContains(t, fmt.Sprintf("%v %+v %#v %s %q", err, err, err, err, err), "canary")
		})
	}
}

func TestLongAnswerIsTruncatedAt2KiB(t *testing.T) {
	t.Parallel()
	kept, ok := destination.AnswerOf(said(t, 422, strings.Repeat("a", 2047)+"ß and more\x00"))
	require.True(t, ok)
	require.Equal(t, strings.Repeat("a", 2047), kept.Text, "an incomplete character must be left out")
	kept, _ = destination.AnswerOf(said(t, 422, "a\x00b"))
	require.Equal(t, "ab", kept.Text)
	require.True(t, utf8.ValidString(kept.Text))
}

func TestEmptyAnswerIsNotKept(t *testing.T) {
	t.Parallel()
	_, ok := destination.AnswerOf(said(t, 422, " \n"))
	require.False(t, ok)
}

func TestEachRecordOfBatchKeepsItsAnswer(t *testing.T) {
	t.Parallel()
	d := serveWith(t, answering(http.StatusOK, `{"results":[{"id":"1"},{"error":{"code":"invalid","message":"canary"}}]}`),
		rest.Config{BatchSize: 2}, nil)
	results, err := d.UpsertBatch(t.Context(), records(2))
	require.NoError(t, err)
	require.NoError(t, results[0].Err)
	kept, ok := destination.AnswerOf(results[1].Err)
	require.True(t, ok)
	require.Equal(t, destination.Answer{Status: 200, Text: `{"error":{"code":"invalid","message":"canary"}}`}, kept)
}
