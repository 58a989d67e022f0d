package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

// exported answers an export of letters 1 to count, in pages of two.
func (f *fixture) exported(t *testing.T, count int) {
	t.Helper()
	f.answers("letters", "export", func(_ int, data []byte) (any, string) {
		question := decoded[operatorapi.LettersQuestion](t, data)
		page := operatorapi.LettersExport{Letters: []operatorapi.LetterDetail{}}
		for n := 1; n <= count && len(page.Letters) < 2; n++ {
			letter := operatorapi.LetterDetail{Letter: letterNo(n), OriginalSubject: "a,b", History: []operatorapi.LetterAttempt{}, HasPayload: true}
			if letter.ID <= question.Before {
				continue
			}
			page.Letters = append(page.Letters, letter)
			if page.Next = &letter.ID; n == count {
				page.Next = nil
			}
		}
		return page, noCode
	})
}

func TestExportIsOneDocumentALine(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exported(t, 5)
	got := f.run("dlq", "export", "acme", "--state", "all")
	require.Zero(t, got.code, got.stderr)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 5)
	for n, line := range lines {
		require.Equal(t, letterNo(n+1).ID, decoded[operatorapi.LetterDetail](t, []byte(line)).ID)
	}
	require.Equal(t, exitUsage, f.run("dlq", "export", "--json").code)
}

func TestExportAsCSV(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exported(t, 3)
	got := f.run("dlq", "export", "--csv")
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	require.Len(t, lines, 4)
	require.True(t, strings.HasPrefix(lines[0], "id,customerId,kind,recordId,state,errorCode,"))
	require.Equal(t, `00000001-0000-4000-8000-000000000000,acme,user,8201,review,http_422,permanent,1,2026-11-20T08:00:00Z,2026-11-20T08:00:00Z,`+
		`,,,,,user_sync_poll,,"a,b",,,true,[],`, lines[1])
}

func TestExportedFileIsPrivateAndCompleteOrAbsent(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.exported(t, 3)
	folder := t.TempDir()
	name := filepath.Join(folder, "letters.jsonl")
	require.NoError(t, os.WriteFile(name, []byte("old"), 0o644))
	got := f.run("dlq", "export", "--out", name, "--json")
	require.JSONEq(t, `{"letters":3,"out":"`+name+`"}`, got.stdout)
	about, err := os.Stat(name)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), about.Mode().Perm())

	j := newFixture(t)
	j.answers("letters", "export", func(n int, _ []byte) (any, string) {
		if n > 1 {
			return "no more", service.CodeInternal
		}
		return operatorapi.LettersExport{Letters: []operatorapi.LetterDetail{{Letter: letterNo(1)}}, Next: new("1")}, noCode
	})
	broken := j.run("dlq", "export", "--out", filepath.Join(folder, "half.jsonl"))
	require.Equal(t, exitFailed, broken.code)
	require.Contains(t, broken.stderr, "stopped after 1 letter, which is not all")
	left, err := os.ReadDir(folder)
	require.NoError(t, err)
	require.Len(t, left, 1)
}
