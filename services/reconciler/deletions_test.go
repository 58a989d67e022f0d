package main

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

func TestUserThatVOMODeletedIsDeletedAtTheDestination(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(40)
	f.start()
	require.Equal(t, "done scanned 40 missing 0 confirmed 0 deleted 0 failed 0", f.scanDeletions(1))
	require.Equal(t, []int{40}, values[int](f, `SELECT count(*) FROM user_mappings`), "users that the scan sees are written as by a backfill")
	f.remove(3, 17, 40)
	f.change(morning, "new phone", 5)
	f.exec(`INSERT INTO dead_letters (id, customer_id, kind, record_id, original_subject, job, error_code, error_class, state, first_failed_at, last_failed_at)
		VALUES (gen_random_uuid(), 'acme', 'user', '17', 's', 'user_sync_poll', 'http_422', 'permanent', 'review', now(), now())`)

	require.Equal(t, "done scanned 37 missing 3 confirmed 3 deleted 3 failed 0", f.scanDeletions(2))

	require.Equal(t, []string{"crm-17", "crm-3", "crm-40"}, f.deletions())
	require.Equal(t, []int{37}, values[int](f, `SELECT count(*) FROM user_mappings`))
	require.Equal(t, []string{"delete 17", "delete 3", "delete 40", "update 5"}, values[string](f, `SELECT operation || ' ' || record_id FROM sync_audit
		WHERE job_id = (SELECT max(id) FROM job_log) AND succeeded ORDER BY 1`))
	require.Equal(t, []string{"settled superseded"}, values[string](f, `SELECT state || ' ' || settled_how FROM dead_letters`))
	require.Equal(t, []string{"3 deleted", "17 deleted", "40 deleted"}, f.candidates())
	deleted := f.events("user.deleted")
	require.Len(t, deleted, 3)
	require.Equal(t, "user_deletions", deleted[0]["job"])
	done := f.events("deletions.completed")
	require.Len(t, done, 2)
	require.InDelta(t, 3, done[1]["confirmedDeletions"], 0)
	require.InDelta(t, 3, done[1]["possiblyDeleted"], 0)
	require.Equal(t, []string{"user_deletions success", "user_deletions success"}, values[string](f, `SELECT job || ' ' || outcome FROM job_log ORDER BY id`))
	require.NotContains(t, strings.Join(values[string](f, `SELECT c::text FROM deletion_candidates c`), ""), "example.org", "an address is sealed")
	sealed, _ := ask[operatorapi.DeletionShown](f, "show", operatorapi.DeletionQuestion{CustomerID: "acme", WithoutEmail: true})
	for _, candidate := range sealed.Candidates {
		require.Nil(t, candidate.Email)
	}
	require.NotContains(t, values[string](f, `SELECT verb FROM operator_audit`), "deletions.show")
	_, code := ask[operatorapi.DeletionShown](f, "show", operatorapi.DeletionQuestion{CustomerID: "acme", State: "gone"})
	require.Equal(t, service.CodeBadRequest, code, "a candidate has no such state")
	shown, _ := ask[operatorapi.DeletionShown](f, "show", operatorapi.DeletionQuestion{CustomerID: "acme"})
	require.Len(t, shown.Candidates, 3)
	require.Equal(t, "u17@example.org", *shown.Candidates[0].Email)
	require.Contains(t, values[string](f, `SELECT verb FROM operator_audit`), "deletions.show", "who saw an address is audited")

	require.Equal(t, "done scanned 37 missing 0 confirmed 0 deleted 0 failed 0", f.scanDeletions(3))
	require.Equal(t, []int{0}, values[int](f, `SELECT count(*) FROM scan_seen s JOIN job_log j ON j.id = s.scan_id WHERE j.completed_at IS NULL`),
		"what a scan saw may be forgotten when it has ended")
}

func TestAnswerOtherThanNotFoundDeletesNoUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(60)
	f.start()
	f.scanDeletions(1)
	f.removeRange(51, 56)
	f.locked(func() {
		f.details[51] = "403"
		f.details[52] = "200 {\"data\":{\"id\":52}}"
		f.details[53] = "200 <html>"
		f.details[54] = "200 {\"data\":"
		f.details[55] = "401"
		f.people[56] = person{phone: "hidden from the list only", updated: yesterday}
	})

	require.Equal(t, "done scanned 55 missing 5 confirmed 0 deleted 0 failed 0", f.scanDeletions(2))

	require.Empty(t, f.deletions())
	require.Equal(t, []string{
		"51 unknown source_forbidden", "52 unknown source_partial", "53 unknown source_unreadable", "54 unknown source_unreadable",
		"55 unknown source_forbidden",
	}, f.candidates())
	require.Equal(t, []int{60}, values[int](f, `SELECT count(*) FROM user_mappings`))
	require.Empty(t, f.activeAlerts())
}

func TestUserThatIsOnlyMissingInTheListIsWrittenAndKept(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(30)
	f.start()
	f.scanDeletions(1)
	f.locked(func() { f.hidden = map[int]bool{7: true} })
	f.change(morning, "changed", 7)
	f.requests()

	require.Equal(t, "done scanned 29 missing 1 confirmed 0 deleted 0 failed 0", f.scanDeletions(2))

	_, written := f.requests()
	require.Equal(t, []string{"7"}, written, "it is written through the mirror")
	require.Equal(t, []string{"7 found"}, f.candidates())
	require.Empty(t, f.deletions())
}

func TestUnverifiedScanDeletesNoUser(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(30)
	f.start()
	f.scanDeletions(1)
	f.remove(4)
	f.locked(func() { f.total = 2 })

	require.Equal(t, "unverified scanned 29 missing 0 confirmed 0 deleted 0 failed 0", f.scanDeletions(2))
	require.Empty(t, f.deletions())
	completed := f.events("deletions.completed")
	require.NotContains(t, completed[1], "verified", "false is left out of JSON")
}

func TestNotFoundForEveryIDProvesNothing(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(30)
	f.start()
	f.scanDeletions(1)
	f.remove(4)
	f.locked(func() {
		for id := range 31 {
			f.details[id] = "404"
		}
	})
	f.publish(deletionSubject, plain)
	require.Eventually(t, func() bool {
		reasons := values[string](f, `SELECT concat_ws(' ', park_reason, park_detail) FROM runs WHERE kind = 'user_deletions' AND park_reason IS NOT NULL`)
		return len(reasons) == 1 && strings.HasPrefix(reasons[0], "vomo_unavailable VOMO answers 404 by id also for users that its list has")
	}, soon, 20*time.Millisecond)
	require.Empty(t, f.deletions())

	f.locked(func() { clear(f.details) })
	again, _ := ask[operatorapi.DeletionCommanded](f, "scan", operatorapi.DeletionCommand{CustomerID: "acme"})
	require.Equal(t, operatorapi.DeletionScanRunning, again.Action, "the parked run goes on at once")
	require.Equal(t, "done scanned 29 missing 1 confirmed 1 deleted 1 failed 0", f.waitScan(2))
}

func TestUserThatVOMOHasIsLookedForBehindThousandsThatItDeleted(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.settings.DeletionGuard = 1
	for id := range 5 {
		f.change(yesterday, "a", 9001+id)
		f.locked(func() { f.details[9001+id] = "404" })
	}
	f.exec(`INSERT INTO user_mappings (customer_id, vomo_user_id, external_user_id, last_synced_at, last_synced_updated_at, version_hash)
		SELECT 'acme', n::text, 'crm-' || n, rollcall_now() - interval '1 day', '2026-01-01', '\x01' FROM generate_series(1000, 3199) n`)
	f.start()
	f.publish(deletionSubject, plain)
	require.Eventually(t, func() bool {
		reasons := values[string](f, `SELECT concat_ws(' ', park_reason, park_detail) FROM runs WHERE kind = 'user_deletions' AND park_reason IS NOT NULL`)
		return len(reasons) == 1 && strings.HasPrefix(reasons[0], "vomo_unavailable VOMO answers 404 by id also for users that its list has")
	}, soon, 20*time.Millisecond)
	require.Equal(t, []string{"missing"}, values[string](f, `SELECT DISTINCT state FROM deletion_candidates`), "none of the first page is confirmed")
}

func TestWorkerThatDiesAfterTheDeletionRepeatsNothingVisible(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(30)
	f.start()
	f.scanDeletions(1)
	f.remove(4, 5)
	requests := 0
	f.locked(func() {
		f.onCRM = func(r *http.Request) {
			if requests++; r.Method == http.MethodDelete && requests == 1 { // another worker takes the lane meanwhile
				f.exec(`UPDATE customer_leases SET epoch = epoch + 1, expires_at = rollcall_now()`)
			}
		}
	})

	require.Equal(t, "done scanned 28 missing 2 confirmed 2 deleted 2 failed 0", f.scanDeletions(2))

	require.Equal(t, []string{"crm-4", "crm-5"}, f.deletions())
	f.locked(func() { require.Greater(t, requests, 2, "the page of the first worker was not committed") })
	require.Len(t, f.events("user.deleted"), 2)
	require.Equal(t, []int{2}, values[int](f, `SELECT count(*) FROM sync_audit WHERE operation = 'delete'`))
}

func TestDeletionThatTheDestinationRejectsGetsALetter(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(30)
	f.start()
	f.scanDeletions(1)
	f.remove(4, 5, 6)
	f.locked(func() { f.refused["crm-5"] = http.StatusUnprocessableEntity })

	require.Equal(t, "done scanned 27 missing 3 confirmed 3 deleted 2 failed 1", f.scanDeletions(2))

	require.Equal(t, []string{"crm-4", "crm-6"}, f.deletions())
	require.Equal(t, []string{"4 deleted", "5 failed http_422", "6 deleted"}, f.candidates())
	require.Equal(t, []string{"user_delete 5 http_422 review"}, values[string](f, `SELECT concat_ws(' ', kind, record_id, error_code, state) FROM dead_letters`))
	require.Equal(t, []int{28}, values[int](f, `SELECT count(*) FROM user_mappings`), "the mapping stays with the record")
	require.Equal(t, []string{"5 http_422"}, values[string](f,
		`SELECT record_id || ' ' || error_code FROM sync_audit WHERE operation = 'delete' AND NOT succeeded`))

	require.Equal(t, "done scanned 27 missing 0 confirmed 0 deleted 0 failed 0", f.scanDeletions(3), "the letter has it")
	require.Equal(t, []int{1}, values[int](f, `SELECT count(*) FROM dead_letters`))
}

func TestDestinationThatDeletesNoRecordGetsALetterForEachAndIsNotDown(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(300)
	f.start()
	f.scanDeletions(1)
	f.removeRange(101, 112)
	f.locked(func() {
		for id := 101; id <= 112; id++ {
			f.refused["crm-"+strconv.Itoa(id)] = http.StatusMethodNotAllowed
		}
	})

	require.Equal(t, "done scanned 288 missing 12 confirmed 12 deleted 0 failed 12", f.scanDeletions(2))

	require.Empty(t, f.activeAlerts())
	require.Equal(t, []string{"user_delete http_405 12"}, values[string](f,
		`SELECT concat_ws(' ', kind, error_code, count(*)) FROM dead_letters GROUP BY kind, error_code`))
}

func TestDestinationThatOnlyFailsToDeleteParksTheRunForAWhile(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(160)
	f.start()
	f.scanDeletions(1)
	gone := []int{1, 10, 100, 101, 102, 103, 104} // the first by their ids, three pages of a few
	f.remove(gone...)
	f.locked(func() {
		for _, id := range gone {
			f.refused["crm-"+strconv.Itoa(id)] = http.StatusInternalServerError
		}
	})
	f.publish(deletionSubject, plain)
	require.Eventually(t, func() bool { return slices.Equal(f.activeAlerts(), []string{"destination_down"}) }, soon, 20*time.Millisecond)
	require.Equal(t, []int{0}, values[int](f, `SELECT count(*) FROM dead_letters`))
	// After many parks, when the circuit breaker lets a request through, and as long as the destination accepts other records.
	require.Eventually(t, func() bool {
		return len(values[int](f, `UPDATE runs SET parks = 5, due_at = rollcall_now() + interval '3 seconds'
			WHERE kind = 'user_deletions' AND state = 'parked' RETURNING 1`)) == 1
	}, soon, 20*time.Millisecond)
	require.Equal(t, "done scanned 153 missing 7 confirmed 7 deleted 0 failed 7", f.waitScan(2))
	require.Equal(t, []string{"user_delete destination_5xx 7"},
		values[string](f, `SELECT concat_ws(' ', kind, error_code, count(*)) FROM dead_letters GROUP BY kind, error_code`))
}

func TestRecordOfTwoUsersIsKeptForTheOther(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(30)
	f.start()
	f.scanDeletions(1)
	f.exec(`UPDATE user_mappings SET external_user_id = 'crm-9' WHERE vomo_user_id = '10'`)
	f.remove(10)
	f.requests()

	require.Equal(t, "done scanned 29 missing 1 confirmed 1 deleted 1 failed 0", f.scanDeletions(2))

	require.Empty(t, f.deletions(), "the record is also that of user 9")
	require.Equal(t, []int{29}, values[int](f, `SELECT count(*) FROM user_mappings`))
	f.scanDeletions(3)
	_, written := f.requests()
	require.Equal(t, []string{"9"}, written, "the record may have had the data of user 10")
}

func TestIDsOfTheSystemBeforeAreNotSentToTheNewOne(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(30)
	f.start()
	f.scanDeletions(1)
	f.exec(`INSERT INTO backfill_runs (customer_id, job_id, trace_id, state, due_at, created_at, updated_at, rewrite_before, new_system)
		SELECT 'acme', min(id), 't', 'completed', min(started_at), now(), max(started_at), rollcall_now(), true FROM job_log`)
	f.exec(`UPDATE user_mappings SET last_synced_at = rollcall_now() WHERE vomo_user_id <> '10'`) // the rewrite did not meet a deleted user
	f.clock(morning.Add(time.Hour))
	f.remove(10, 11)

	require.Equal(t, "done scanned 28 missing 2 confirmed 2 deleted 2 failed 0", f.scanDeletions(2))

	require.Equal(t, []string{"crm-11"}, f.deletions())
	require.Equal(t, []int{28}, values[int](f, `SELECT count(*) FROM user_mappings`))
}

func TestUserIsAskedForAgainBeforeALateDeletion(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(60)
	f.start()
	f.scanDeletions(1)
	f.remove(4, 5)
	f.locked(func() {
		f.refused["crm-4"], f.refused["crm-5"] = http.StatusUnauthorized, http.StatusUnauthorized // the destination's token has expired
	})
	f.publish(deletionSubject, plain)
	require.Eventually(t, func() bool { return slices.Equal(f.activeAlerts(), []string{"destination_auth_failed"}) }, soon, 20*time.Millisecond)
	f.clock(morning.Add(48 * time.Hour))
	f.locked(func() {
		clear(f.refused)
		f.people[4] = person{phone: "back", updated: morning}
	})
	f.stopAndStart()

	require.Equal(t, "done scanned 58 missing 2 confirmed 2 deleted 1 failed 0", f.waitScan(2))

	require.Equal(t, []string{"crm-5"}, f.deletions())
	require.Equal(t, []string{"4 found", "5 deleted"}, f.candidates())
	require.Empty(t, f.activeAlerts())
}

func TestLaneThatIsLostInEveryPhaseRepeatsNothingVisible(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.addPeople(60)
	f.start()
	f.scanDeletions(1)
	f.remove(4, 5, 6)
	f.locked(func() { f.hidden = map[int]bool{7: true} })
	f.change(morning, "changed", 7, 8)
	requests := 0
	f.locked(func() {
		f.onRequest = func(*http.Request) { // every fifth request is answered to a worker that has lost the lane
			if requests++; requests%5 == 0 && requests < 60 {
				f.exec(`UPDATE customer_leases SET epoch = epoch + 1, expires_at = rollcall_now()`)
			}
		}
	})

	require.Equal(t, "done scanned 56 missing 4 confirmed 3 deleted 3 failed 0", f.scanDeletions(2))

	require.Equal(t, []string{"crm-4", "crm-5", "crm-6"}, f.deletions())
	require.Len(t, f.events("user.deleted"), 3)
	require.Len(t, f.events("user.updated"), 2)
	require.Equal(t, []string{"delete 4", "delete 5", "delete 6", "update 7", "update 8"}, values[string](f,
		`SELECT operation || ' ' || record_id FROM sync_audit WHERE operation <> 'create' ORDER BY 1`))
	require.Equal(t, []string{"4 deleted", "5 deleted", "6 deleted", "7 found"}, f.candidates())
}
