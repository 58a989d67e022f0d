package main

import (
	"fmt"
	"maps"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/config"
)

// projectRequests returns how often the sandbox's list of projects was requested.
func (f *fixture) projectRequests(t *testing.T) int {
	t.Helper()
	return f.operations(t)["project"]
}

// to returns the change of a donation that is for these projects.
func to(codes ...string) map[string]any {
	share := map[int]string{1: "125.00", 2: "62.50"}[len(codes)]
	designations := []any{}
	for _, code := range codes {
		designations = append(designations, map[string]any{"code": code, "amountDesignated": share})
	}
	return map[string]any{"designations": designations}
}

// rejections returns the errors of the events about rejected donations.
func (f *fixture) rejections(t *testing.T) []string {
	t.Helper()
	return column[string](t, f, `SELECT concat_ws(' ', e.data ->> 'platformDonationId', e.data ->> 'code', e.data ->> 'errors') FROM (
		SELECT id, convert_from(payload, 'UTF8')::jsonb AS data FROM outbox WHERE subject LIKE 'rollcall.events.donation.rejected.%') e ORDER BY e.id`)
}

// counted returns how many donations with projects that did not pass had an outcome.
func (f *fixture) counted(t *testing.T, outcome string) int {
	t.Helper()
	families, err := f.registry.Gather()
	require.NoError(t, err)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			if family.GetName() == "rollcall_donation_projects_total" && metric.GetLabel()[0].GetValue() == outcome {
				return int(metric.GetCounter().GetValue())
			}
		}
	}
	return 0
}

const wrongCode = `is the code of no active project in Virtuous: correct it, or have the project added or activated`

func TestUnknownProjectCausesOneReloadAMinuteWhateverTheNumberOfDonations(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.give(t, "don-0", to("clean-water", "GENERAL"))
	require.Zero(t, f.projectRequests(t), "without a list, the donation is checked before it is sent")
	f.settle(t)
	require.Equal(t, []string{"don-0 submitted"}, f.states(t))
	require.Equal(t, 1, f.projectRequests(t))

	for minute := range 3 {
		f.advance(t, time.Minute)
		for i := range 10 {
			f.give(t, fmt.Sprintf("don-%d-%d", minute, i), to("GENERAL", "NOT-THERE"))
		}
		require.Equal(t, minute+2, f.projectRequests(t))
	}
	require.Len(t, f.letters(t), 30)
	require.Contains(t, f.letters(t), "don-0-0 donation_invalid review")
	require.Equal(t, `don-0-0 invalid {"designations[1].code": ["`+wrongCode+`"]}`, f.rejections(t)[0])
	require.Equal(t, []string{"don-0 submitted"}, f.states(t))
	require.Equal(t, 30, f.counted(t, "rejected"))

	f.give(t, "don-1", to("SCHOOL-MEALS"))
	f.settle(t)
	require.Equal(t, 4, f.projectRequests(t), "a code of the list needs no request, however old the list is")
}

func TestDonationsThatComeTogetherCauseOneReloadAndNoneIsSent(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.give(t, "don-0", nil)
	f.settle(t)
	f.advance(t, time.Hour)
	var together sync.WaitGroup
	for i := range 8 {
		f.sequence++
		sequence, body := f.sequence, donation(t, fmt.Sprintf("don-%d", i+1), to("NOT-THERE"))
		together.Go(func() { f.deliver(t, customer, sequence, body) })
	}
	together.Wait()
	require.Equal(t, 2, f.projectRequests(t))
	f.settle(t)
	require.Equal(t, 2, f.projectRequests(t))
	require.Len(t, f.transactions(t), 1)
	require.Equal(t, []int64{8}, column[int64](t, f, `SELECT (SELECT count(*) FROM dead_letters)
		+ (SELECT count(*) FROM virtuous_donation_queue WHERE status = 'failed')`))
}

func TestProjectThatWasAddedIsFoundByAReload(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.give(t, "don-0", nil)
	f.settle(t)
	f.advance(t, time.Minute)
	f.give(t, "don-1", to("NEW-ROOF"))
	f.control(t, http.MethodPut, "/virtuous/orgs/acme/projects/NEW-ROOF", map[string]any{"name": "New Roof", "active": true})
	f.give(t, "don-2", to("NEW-ROOF"))
	require.Equal(t, []string{"don-1 donation_invalid review", "don-2 donation_invalid review"}, f.letters(t), "the list is not a minute old")
	f.advance(t, time.Minute)
	f.give(t, "don-1", to("new-roof"))
	require.Equal(t, []string{"don-1 donation_invalid settled superseded", "don-2 donation_invalid review"}, f.letters(t))
	f.settle(t)
	require.Equal(t, []string{"don-0 submitted", "don-1 submitted"}, f.states(t))
	require.Equal(t, 3, f.projectRequests(t))
}

func TestInactiveProjectIsRejectedUnlessTheDonationIsKnown(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.give(t, "don-0", nil)
	f.settle(t)
	f.advance(t, time.Minute)
	f.give(t, "don-1", to("OLD-BARN"))
	require.Equal(t, []string{`don-1 invalid {"designations[0].code": ["` + wrongCode + `"]}`}, f.rejections(t))

	f.control(t, http.MethodPut, "/virtuous/orgs/acme/projects/CLEAN-WATER", map[string]any{"active": false})
	f.advance(t, time.Minute)
	f.give(t, "don-2", to("OLD-BARN")) // has the list loaded
	f.give(t, "don-0", nil)
	require.Len(t, f.rejections(t), 2, "the same donation again changes nothing")
	require.Equal(t, []string{"don-0 submitted"}, f.states(t))
}

func TestUnknownProjectIsFoundBeforeTheFirstRequest(t *testing.T) {
	t.Parallel()
	f := newFixture(t, "{}")
	f.give(t, "don-1", to("GENERAL", "NOT-THERE"))
	f.give(t, "don-2", nil)
	f.round(t)
	require.Equal(t, []string{"don-1 failed", "don-2 submitted"}, f.states(t))
	require.Equal(t, []string{"designations[1].code unknown_project"}, column[string](t, f,
		`SELECT last_error FROM virtuous_donation_queue WHERE status = 'failed'`))
	require.Equal(t, []string{"donation.failed"}, f.events(t))
	require.Equal(t, []string{"designations[1].code unknown_project"}, column[string](t, f, `SELECT convert_from(payload, 'UTF8')::jsonb ->> 'error' FROM outbox`))
	require.Equal(t, 1, f.projectRequests(t))
	require.Len(t, f.transactions(t), 1)

	f.control(t, http.MethodPut, "/virtuous/orgs/acme/projects/NOT-THERE", map[string]any{"active": true})
	f.advance(t, time.Minute)
	found, err := f.store.Donation(t.Context(), customer, "don-1", 0)
	require.NoError(t, err)
	changed, err := f.store.RetryDonation(t.Context(), customer, found)
	require.NoError(t, err)
	require.True(t, changed)
	f.settle(t)
	require.Equal(t, []string{"don-1 submitted", "don-2 submitted"}, f.states(t), "an operator's retry is checked again")
}

func TestListThatCannotBeLoadedRejectsNothing(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		fault map[string]any
		hold  string
	}{
		"500":             {map[string]any{"kind": "status", "status": 500}, "virtuous_unavailable"},
		"403":             {map[string]any{"kind": "status", "status": 403}, "virtuous_forbidden"},
		"429":             {map[string]any{"kind": "status", "status": 429, "retryAfter": "30"}, "virtuous_throttled"},
		"no answer":       {map[string]any{"kind": "drop"}, "virtuous_unavailable"},
		"a page":          {map[string]any{"kind": "page"}, ""},
		"404":             {map[string]any{"kind": "status", "status": 404}, ""},
		"another answer":  {map[string]any{"kind": "status", "status": 400}, ""},
		"paused customer": {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, "{}")
			f.give(t, "don-0", nil)
			f.settle(t)
			f.advance(t, time.Hour)
			requests := f.projectRequests(t)
			if one.fault == nil {
				f.exec(t, `UPDATE sync_configs SET paused_at = now()`)
			} else {
				fault := map[string]any{"operation": "project"}
				maps.Copy(fault, one.fault)
				f.fault(t, fault)
			}
			f.give(t, "don-1", to("NOT-THERE"))
			f.give(t, "don-2", to("NOT-THERE"))
			require.Equal(t, []string{"don-0 submitted", "don-1 pending", "don-2 pending"}, f.states(t))
			require.Empty(t, f.letters(t))
			if one.fault == nil {
				require.Equal(t, requests, f.projectRequests(t))
				f.exec(t, `UPDATE sync_configs SET paused_at = NULL`)
			} else {
				f.advance(t, time.Minute)
				end, ran := f.round(t)
				require.True(t, ran)
				require.Equal(t, one.hold, end.Reason)
				require.Equal(t, []string{"don-0 submitted", "don-1 pending", "don-2 pending"}, f.states(t))
				f.control(t, http.MethodDelete, "/faults", nil)
			}
			f.advance(t, 16*time.Minute)
			f.settle(t)
			require.Equal(t, []string{"don-0 submitted", "don-1 failed", "don-2 failed"}, f.states(t))
			require.Len(t, f.transactions(t), 1)
		})
	}
}

func TestSettingDecidesWhatBecomesOfAnUnknownProject(t *testing.T) {
	t.Parallel()
	for mode, one := range map[string]struct {
		states   []string
		requests int
		warned   int
	}{
		config.ProjectCheckRefuse: {[]string{"don-0 failed"}, 2, 0},
		config.ProjectCheckWarn:   {[]string{"don-0 submitted", "don-1 submitted", "don-2 submitted"}, 2, 3},
		config.ProjectCheckOff:    {[]string{"don-0 submitted", "don-1 submitted", "don-2 submitted"}, 0, 0},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			f := newFixture(t, `{"unknownProject":"needs_update"}`)
			f.projects.mode = mode
			f.give(t, "don-0", to("NOT-THERE"))
			f.settle(t)
			f.advance(t, time.Minute)
			f.give(t, "don-1", to("NOT-THERE"))
			f.give(t, "don-2", to("NOT-THERE"))
			f.settle(t)
			require.Equal(t, one.states, f.states(t))
			require.Equal(t, one.requests, f.projectRequests(t))
			require.Equal(t, one.warned, f.counted(t, "warned"))
		})
	}
}

func TestWarningNeedsNoList(t *testing.T) {
	t.Parallel()
	f := newFixture(t, `{"unknownProject":"needs_update"}`)
	f.projects.mode = config.ProjectCheckWarn
	f.fault(t, map[string]any{"kind": "status", "status": 403, "operation": "project"})
	f.give(t, "don-0", to("NOT-THERE"))
	f.round(t)
	require.Equal(t, []string{"don-0 submitted"}, f.states(t))
	require.Equal(t, 1, f.counted(t, "warned"))
}
