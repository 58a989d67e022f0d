package dev

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fatih/color"
	"github.com/stretchr/testify/require"
)

func write(t *testing.T, w *lineWriter, texts ...string) {
	t.Helper()
	for _, text := range texts {
		written, err := w.Write([]byte(text))
		require.NoError(t, err)
		require.Len(t, text, written)
	}
}

func TestEachLineFollowsItsServicesName(t *testing.T) {
	t.Parallel()
	shown := &testScreen{}
	s := newScreen(&testScreen{}, shown, false)
	one, two := s.linesOf("onboarding", color.FgCyan), s.linesOf("backfill", color.FgGreen)
	write(t, one, "first li")
	write(t, two, "hers\n\nmore")
	write(t, one, "ne\nsecond\r\n")
	two.finish()
	two.finish()
	require.Equal(t, `backfill   | hers
backfill   | 
onboarding | first line
onboarding | second
backfill   | more
`, shown.String())
}

func TestNamesAreColouredOnlyOnATerminal(t *testing.T) {
	t.Parallel()
	shown := &testScreen{}
	s := newScreen(&testScreen{}, shown, false)
	write(t, s.linesOf("backfill", color.FgGreen), "plain\n")
	s.logColour = true
	write(t, s.linesOf("backfill", color.FgGreen), "coloured\n")
	require.Equal(t, "backfill   | plain\n\x1b[32mbackfill   |\x1b[0m coloured\n", shown.String())
}

func TestQuietHidesOnlyTheServicesLines(t *testing.T) {
	t.Parallel()
	own, logs := &testScreen{}, &testScreen{}
	s := newScreen(own, logs, true)
	write(t, s.linesOf("backfill", color.FgGreen), "hidden\n")
	s.sayf("all of it runs after %d s", 3)
	require.Empty(t, logs.String())
	require.Equal(t, "all of it runs after 3 s\n", own.String())
}

func TestLineWithoutEndIsShownInPieces(t *testing.T) {
	t.Parallel()
	shown := &testScreen{}
	w := newScreen(&testScreen{}, shown, false).linesOf("backfill", color.FgGreen)
	for range 3 {
		write(t, w, strings.Repeat("x", longestLine))
	}
	require.Less(t, len(w.begun), 2*longestLine)
	require.NotEmpty(t, shown.String())
}

func TestOutputOfAChildIsShownAndKept(t *testing.T) {
	t.Parallel()
	path, shown := filepath.Join(t.TempDir(), "backfill.log"), &testScreen{}
	require.NoError(t, os.WriteFile(path, []byte("of the last run\n"), 0o600))
	log, err := openLogFile(path, logKeptUpTo, newScreen(&testScreen{}, shown, false).linesOf("backfill", 0))
	require.NoError(t, err)
	_, err = log.writer.WriteString("page 1\npage 2\nunfinis")
	require.NoError(t, err)
	require.Equal(t, "page 2\nunfinis", log.tail(2))
	require.NoError(t, log.close())
	require.Equal(t, "backfill   | page 1\nbackfill   | page 2\nbackfill   | unfinis\n", shown.String())
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "of the last run\npage 1\npage 2\nunfinis", string(kept))
}

func TestLargeLogIsEmptiedAndKeptOnce(t *testing.T) {
	t.Parallel()
	path, shown := filepath.Join(t.TempDir(), "backfill.log"), &testScreen{}
	log, err := openLogFile(path, 10, newScreen(&testScreen{}, shown, false).linesOf("backfill", 0))
	require.NoError(t, err)
	_, err = log.writer.WriteString("more than ten bytes\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		info, err := os.Stat(path)
		return err == nil && info.Size() == 0
	}, patience, 5*time.Millisecond)
	_, err = log.writer.WriteString("new\n")
	require.NoError(t, err)
	require.NoError(t, log.close())
	old, err := os.ReadFile(path + ".old")
	require.NoError(t, err)
	require.Equal(t, "more than ten bytes\n", string(old))
	kept, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "new\n", string(kept))
	require.Equal(t, "backfill   | more than ten bytes\nbackfill   | new\n", shown.String())
}
