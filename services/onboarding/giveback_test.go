package main

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/store"
)

// Case postgres/isolation.md: a request whose settling failed with 40001 waited a minute for its claim to run out.
func TestARequestThatFailedOnOurSideIsTriedAgainWithinSeconds(t *testing.T) {
	t.Parallel()
	c := newCounter(t, "2026-01-15T00:00:00Z")
	c.watchesVomo(t)
	c.takesIn(t, 1, everySetting)
	c.sql(t, `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'could not serialize' USING ERRCODE = '40001'; END $$`)
	c.sql(t, `CREATE TRIGGER fail BEFORE INSERT ON sync_configs EXECUTE FUNCTION fail()`)
	settleNext := func() {
		var running sync.WaitGroup
		c.settler.claimNext(t.Context(), make(chan struct{}, 1), &running)
		running.Wait()
	}

	settleNext()

	require.Equal(t, 1, c.count(t, `SELECT count(*) FROM onboarding_requests
		WHERE state = 'pending' AND NOT delayed_told AND next_attempt_at <= rollcall_now() + interval '2 seconds'`))
	c.sql(t, `DROP TRIGGER fail ON sync_configs`)
	c.sql(t, `UPDATE onboarding_requests SET next_attempt_at = rollcall_now()`)
	settleNext()
	require.Equal(t, 1, c.count(t, inState+`'`+string(store.RequestApplied)+`'`))
}
