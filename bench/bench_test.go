package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// This measurement is too small for its numbers to mean anything, but it does everything that a large one does.
func TestSmallMeasurementOfBothPrograms(t *testing.T) {
	t.Parallel()
	opts := options{
		users: 300, rounds: 1, profiles: filepath.Join(t.TempDir(), "new", "profiles"),
		programs: programs{
			onboarding: testkit.Build(t, "rollcall.dev/services/onboarding"), backfill: testkit.Build(t, "rollcall.dev/services/backfill"),
			sandbox: testkit.Build(t, "rollcall.dev/services/sandbox"),
			limit:   testkit.Build(t, "rollcall.dev/bench/limit"), nats: testkit.Build(t, "rollcall.dev/bench/natsserver"),
		},
	}

	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // long enough for a busy machine
	defer cancel()
	found, err := compare(ctx, opts, io.Discard) // it fails if a mirror is incomplete

	require.NoError(t, err)
	require.Len(t, found.Rounds, 2)
	require.Equal(t, product, found.Rounds[0].Program)
	require.Equal(t, limit, found.Rounds[1].Program)
	require.Positive(t, found.Ratio)
	require.Equal(t, "on", found.Postgres["fsync"])
	for _, part := range []string{partBackfill, partOnboarding, partNATS, partPostgres, partSandbox} {
		require.Contains(t, found.Medians[product].CPU, part)
		require.Positive(t, found.Medians[product].Peak[part], part)
	}
	require.NotEmpty(t, found.Rounds[0].Memory)
	require.Empty(t, found.Rounds[1].Memory, "the limit program has no worker")
	for _, kind := range []string{"cpu", "allocs"} {
		info, err := os.Stat(filepath.Join(opts.profiles, "product_1."+kind+".pprof"))
		require.NoError(t, err)
		require.Positive(t, info.Size())
	}

	var table bytes.Buffer
	require.NoError(t, found.table(&table))
	require.Contains(t, table.String(), "the limit's time by the product's")
	file := filepath.Join(t.TempDir(), "report.json")
	require.NoError(t, write(found, file))
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	var again report
	require.NoError(t, json.Unmarshal(written, &again))
	require.Equal(t, found.Medians, again.Medians)
}

// As above: too small for its numbers to mean anything. Each round checks that every record is there.
func TestSmallMeasurementOfGiving(t *testing.T) {
	t.Parallel()
	opts := options{
		giving: true, records: 100, rounds: 1,
		programs: programs{
			onboarding: testkit.Build(t, "rollcall.dev/services/onboarding"), webhooks: testkit.Build(t, "rollcall.dev/services/webhooks"),
			donations: testkit.Build(t, "rollcall.dev/services/donations"), sandbox: testkit.Build(t, "rollcall.dev/services/sandbox"),
			givingLimit: testkit.Build(t, "rollcall.dev/bench/givinglimit"), nats: testkit.Build(t, "rollcall.dev/bench/natsserver"),
		},
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // long enough for a busy machine
	defer cancel()

	found, err := compareGiving(ctx, opts, io.Discard)

	require.NoError(t, err)
	require.Positive(t, found.Erased)
	require.Len(t, found.Results, 3)
	for _, one := range found.Results {
		require.Positive(t, one.Ratio, one.Name)
		require.Len(t, one.Rounds, 2, one.Name)
	}
	require.Positive(t, found.Results[0].Product.P99)
	var table bytes.Buffer
	require.NoError(t, found.table(&table))
	require.Regexp(t, `(?m)^capture: product \d+, limit \d+ donations a second: ratio \d+\.\d\d \(at least 0\.5\)$`, table.String())
}

// The programs do not exist, so a measurement that started would fail with another error.
func TestBenchFailsBeforeMeasuringIfFoldersCannotBeCreated(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for _, arguments := range [][]string{
		{"-profiles", filepath.Join(file, "profiles")}, {"-out", filepath.Join(file, "reports", "report.json")},
	} {
		err := run(t.Context(), append(arguments, "-users", "1", "-bin", t.TempDir()), io.Discard, io.Discard)
		require.ErrorContains(t, err, "make the folder of "+arguments[0])
	}
}

func TestBenchCreatesFoldersForItsOutput(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	opts := options{profiles: filepath.Join(folder, "new", "profiles"), out: filepath.Join(folder, "reports", "report.json")}
	require.NoError(t, opts.makeFolders())
	require.DirExists(t, opts.profiles)
	require.DirExists(t, filepath.Dir(opts.out))
	require.NoError(t, opts.makeFolders(), "existing folders must be accepted")
}

func TestMedian(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		seconds []float64
		want    float64
	}{{[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 100, 2}, 3}} {
		var played []round
		for _, seconds := range c.seconds {
			played = append(played, round{Seconds: seconds})
		}
		require.InDelta(t, c.want, median(played, func(r round) float64 { return r.Seconds }), 0)
	}
}

func TestRatioIsLimitTimeDividedByProductTime(t *testing.T) {
	t.Parallel()
	r := report{Rounds: []round{{Program: product, Seconds: 8}, {Program: limit, Seconds: 4}}}
	r.summarise()
	require.InDelta(t, 0.5, r.Ratio, 0)

	alone := report{Rounds: []round{{Program: product, Seconds: 8}}}
	alone.summarise()
	require.Zero(t, alone.Ratio)
}

func TestErrorNamesWrongOption(t *testing.T) {
	t.Parallel()
	for arguments, want := range map[string][]string{
		"-users":     {"-users", "0"},
		"-rounds":    {"-rounds", "0"},
		"-records":   {"-records", "15"},
		"unexpected": {"now"},
	} {
		_, err := parseOptions(want, io.Discard)
		require.ErrorContains(t, err, arguments)
	}
}

func TestLongSeriesIsThinnedOut(t *testing.T) {
	t.Parallel()
	var s series
	for i := range 10 * maxSamples {
		s.add(sample{Second: float64(i)})
	}
	require.LessOrEqual(t, len(s.kept), maxSamples)
	require.Greater(t, len(s.kept), maxSamples/4)
	require.InDelta(t, 0, s.kept[0].Second, 0)
	require.Greater(t, s.kept[len(s.kept)-1].Second, float64(9*maxSamples))
}
