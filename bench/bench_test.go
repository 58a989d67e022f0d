package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

func TestMain(m *testing.M) { testkit.MainOfWaiting(m) }

const inMemory = "/dev/shm"

// smallest returns the options of measurements that are too small for their numbers to mean anything, but do everything that large ones do.
func smallest(t *testing.T) options {
	t.Helper()
	opts := options{
		rounds: 1, claim: 2 * time.Second, programs: map[string]string{},
		sizes: sizes{
			users: 300, customers: 3, usersEach: 60, polled: 600, idle: 10, letters: 60, messages: 5, resumed: 3000, grown: 1200, window: 400,
			huge: 30_000, beside: 5, besideFor: 100 * time.Millisecond, records: 600,
		},
	}
	if info, err := os.Stat(inMemory); err == nil && info.IsDir() {
		opts.data = inMemory // no disk waits for what is deleted in a moment
	}
	for _, name := range programNames() {
		folder := "services/"
		if name == partNATS || name == limit || name == programGivingLimit {
			folder = "bench/"
		}
		opts.programs[name] = testkit.Build(t, "rollcall.dev/"+folder+name)
	}
	return opts
}

// A row whose result is not true is an error.
func TestEachRowMeasures(t *testing.T) {
	t.Parallel()
	opts := smallest(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute) // long enough for a busy machine
	e, err := openEnvironment(ctx, opts)
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		require.NoError(t, e.close())
	})
	require.Equal(t, "on", e.settings["fsync"])
	rows, err := chosen(groupMirror+","+groupGiving, opts.sizes)
	require.NoError(t, err)
	t.Run("untrue", func(t *testing.T) {
		t.Parallel()
		requireUntrueIsError(t, e)
	})
	for _, each := range rows {
		t.Run(each.name, func(t *testing.T) {
			t.Parallel()
			on := *e
			if each.name == "backfill" { // a profile takes a second
				on.opts.profiles = t.TempDir()
				defer requireProfiles(t, on.opts.profiles)
			}
			found, err := on.turns(ctx, each, io.Discard)

			require.NoError(t, err)
			require.Equal(t, each.limit != nil, found.Ratio != nil)
			its := found.Figures[product]
			require.Positive(t, its[figureSeconds].Median)
			require.Positive(t, its[figurePeak+partPostgres].Median+its[figurePeak+partNATS].Median)
			for _, figure := range figuresOf()[each.name] {
				require.Contains(t, its, figure)
			}
		})
	}
}

func TestStatementsAreNamedWithWhatTheyCost(t *testing.T) {
	t.Parallel()
	opts := smallest(t)
	opts.statements, opts.productOnly, opts.rows = true, true, "backfill"

	found, err := opts.measure(t.Context(), io.Discard)

	require.NoError(t, err)
	its := found.Rows[0].Figures[product]
	require.Positive(t, its["statements/user: MappingUpsertNewer"].Median)
	require.Positive(t, its["statement ms/user: MappingUpsertNewer"].Median)
}

// requireUntrueIsError checks that a round whose result is not true has no number, and shows the services' logs.
func requireUntrueIsError(t *testing.T, e *environment) {
	t.Helper()
	untrue := row{name: "untrue", product: func(ctx context.Context, on *installation) (round, error) {
		return round{Figures: figures{figureSeconds: 1}}, errors.Join(on.start(ctx, partOnboarding), on.requireIdlePolls(ctx, 1))
	}}

	found, err := e.turns(t.Context(), untrue, io.Discard)

	require.ErrorContains(t, err, "untrue, round 1 of product: onboarding: 0 of 1 polls ended well and found nothing\n{")
	require.Empty(t, found.Rounds)
}

func requireProfiles(t *testing.T, folder string) {
	t.Helper()
	for _, kind := range []string{"onboarding.cpu", "backfill.cpu", "backfill.allocs"} {
		info, err := os.Stat(filepath.Join(folder, "backfill_product_1."+kind+".pprof"))
		require.NoError(t, err)
		require.Positive(t, info.Size())
	}
}

// figuresOf returns the figures for which the rows are there, besides their time.
func figuresOf() map[string][]string {
	return map[string][]string{
		"backfill":     {"users/s", "CPU ms/user: backfill", "CPU ms/user: postgres", "CPU ms/user: sandbox", "peak MiB: backfill"},
		"many":         {"users/s"},
		"poll":         {"users/s", "requests to VOMO"},
		"idle":         {"polls/s", "CPU ms/poll: poller"},
		"redrive":      {"speed by the backfill's"},
		"claim":        {"p50 ms", "p99 ms"},
		"resume":       {"seconds until the successor writes", "pages of writes repeated"},
		"growth":       {"growth of the time of a page", "bytes/user: user_mappings", "bytes/user: sync_audit"},
		"fairness":     {"p99 beside it by alone"},
		nameDeliveries: {"p99 ms of an answer"},
	}
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

func TestSpreadIsMedianAndRange(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3}, spread{3, 3, 3}}, {[]float64{9, 1, 2}, spread{2, 1, 9}}, {[]float64{4, 1, 100, 2}, spread{3, 1, 100}},
	} {
		require.Equal(t, c.want, spreadOf(c.values))
	}
}

// reported returns a report of one row with a round of the product, and of the limit if it has a time, for each pair of times.
func reported(times ...[2]float64) report {
	one := rowReport{Name: "backfill", About: "users"}
	for _, pair := range times {
		for at, program := range []string{product, limit} {
			if pair[at] > 0 {
				one.Rounds = append(one.Rounds, round{Program: program, Figures: figures{figureSeconds: pair[at], figureLoad: pair[at]}})
			}
		}
	}
	one.summarise()
	return report{Rows: []rowReport{one}}
}

func TestRatioIsLimitTimeDividedByProductTimeOfEachTurn(t *testing.T) {
	t.Parallel()
	require.Equal(t, &spread{0.5, 0.4, 1}, reported([2]float64{8, 4}, [2]float64{10, 4}, [2]float64{5, 5}).Rows[0].Ratio)
	require.Nil(t, reported([2]float64{8, 0}).Rows[0].Ratio)
}

func TestTableAndFileHaveMedianAndRange(t *testing.T) {
	t.Parallel()
	found := reported([2]float64{8, 4}, [2]float64{10, 4})
	var table bytes.Buffer

	require.NoError(t, found.table(&table))

	require.Regexp(t, `(?m)^  seconds +9\.000 \(8\.000–10\.0\) +4\.000$`, table.String())
	require.Regexp(t, `(?m)^  ratio +0\.450 \(0\.400–0\.500\) +the limit's time by the product's$`, table.String())
	file := filepath.Join(t.TempDir(), "report.json")
	require.NoError(t, found.write(file))
	again, err := readReport(file)
	require.NoError(t, err)
	require.Equal(t, found, again)
	require.NoError(t, os.WriteFile(file, []byte("{}"), 0o600))
	_, err = readReport(file)
	require.ErrorContains(t, err, "has no rows")
}

func TestCompareNamesWhatChangedBeyondSpread(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	old, later := reported([2]float64{8, 4}, [2]float64{10, 5}), reported([2]float64{6, 4}, [2]float64{7, 5.5})
	files := []string{filepath.Join(folder, "old.json"), filepath.Join(folder, "later.json")}
	require.NoError(t, old.write(files[0]))
	require.NoError(t, later.write(files[1]))
	compared := func(arguments ...string) string {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), arguments, &out, io.Discard))
		return out.String()
	}

	require.Equal(t, `
Changed beyond the spread:
  backfill: ratio: 0.726 (0.667–0.786), was 0.500 (+45 %)
  backfill, product: seconds: 6.500 (6.000–7.000), was 9.000 (8.000–10.0) (-28 %)
`, compared("-compare", files[0], files[1]))
	require.Equal(t, "\nChanged beyond the spread:\n  nothing\n", compared("-compare", files[0], files[0]))

	later.Rows[0].About = "more users"
	require.NoError(t, later.write(files[1]))
	require.Contains(t, compared("-compare", files[0], files[1]), `backfill: not compared, because it measured "users"`)
	later.Rows[0].Name = "poll"
	require.NoError(t, later.write(files[1]))
	require.Contains(t, compared("-compare", files[0], files[1]), "poll: not compared, because the earlier report does not have it")
}

func TestWindowLeavesOutWhatIsBeforeFirstCommit(t *testing.T) {
	t.Parallel()
	began := time.Now()
	progress := []committed{{began, 0, 9}, {began.Add(time.Second), 15, 2}, {began.Add(3 * time.Second), 45, 3}, {began.Add(9 * time.Second), 60, 4}}

	took, memory, err := window(progress, 0, 50)

	require.NoError(t, err)
	require.InDelta(t, 1000, took, 0)
	require.InDelta(t, 3, memory, 0)
	_, _, err = window(progress, 50, 60)
	require.ErrorContains(t, err, "too few users")
}

func TestServicesGetSettingsOfTheCommandLine(t *testing.T) {
	t.Parallel()
	opts, err := parseOptions([]string{"-set", "BACKFILL_SLOTS=4", "-set", "VOMO_REQUESTS_PER_SECOND=5"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, []string{"BACKFILL_SLOTS=4", "VOMO_REQUESTS_PER_SECOND=5"}, opts.settings)
}

func TestErrorNamesWrongOption(t *testing.T) {
	t.Parallel()
	for arguments, want := range map[string][]string{
		"-users":     {"-users", "0"},
		"-rounds":    {"-rounds", "0"},
		"-records":   {"-records", "15"},
		"unexpected": {"now"},
		"NAME=value": {"-set", "BACKFILL_SLOTS"},
	} {
		_, err := parseOptions(want, io.Discard)
		require.ErrorContains(t, err, arguments)
	}
	_, err := chosen("backfill,nothing", sizes{})
	require.ErrorContains(t, err, `-row has "nothing"`)
}
