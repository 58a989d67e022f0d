package mirror_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/mirror"
)

func TestALetterKeepsWhatTheDestinationSaidOfItsRecord(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.SealAnswer = func(plain []byte) ([]byte, error) { return append([]byte("sealed "), plain...), nil }
	kept := func() []string {
		return values[string](t, h, `SELECT coalesce(convert_from(answer_sealed, 'UTF8'), '') FROM dead_letters WHERE state <> 'settled'`)
	}
	h.crm.says(unprocessable, `{"code":"invalid","message":"first"}`, "1")
	h.applied(t, users(2)...)
	require.Equal(t, []string{`sealed {"status":422,"text":"{\"code\":\"invalid\",\"message\":\"first\"}"}`}, kept())

	h.crm.says(unprocessable, `second`, "1")
	_, err := h.apply(t, page(1, user("1")), mirror.ApplyOptions{Redrive: true})
	require.NoError(t, err)
	require.Equal(t, []string{`sealed {"status":422,"text":"second"}`}, kept(), "of the last attempt")

	h.crm.says(unprocessable, ``, "1")
	_, err = h.apply(t, page(1, user("1")), mirror.ApplyOptions{Redrive: true})
	require.NoError(t, err)
	require.Equal(t, []string{``}, kept())
}

func TestAnAnswerThatCannotBeSealedCommitsNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	away := errors.New("the keeper is away")
	h.SealAnswer = func([]byte) ([]byte, error) { return nil, away }
	h.crm.says(unprocessable, `{"message":"about a person"}`, "1")
	_, err := h.apply(t, page(1, users(2)...), mirror.ApplyOptions{})
	require.ErrorIs(t, err, away)
	h.requireNothingCommitted(t)
}
