package acceptance_test

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// The full size, run by hand: go test ./services/acceptance -run ComeAndGo -seeds 50 -seed-users 3000.
var (
	seeds     = flag.Int("seeds", 3, "how many courses of events a test goes through")
	seedUsers = flag.Int("seed-users", 400, "users of an organisation in such a test")
)

// courseOf returns random changes of an organisation during a scan, always the same for one seed. No addition and deletion fall
// between the same two requests: they would leave the count unchanged, and no client that reads pages could see that.
func courseOf(seed uint64, users int) map[string]any {
	chance := rand.New(rand.NewPCG(seed, 0))
	steps := []map[string]any{}
	after := 0
	for end := users/15 + users/300; ; {
		after += 1 + chance.IntN(8)
		if after > end {
			return map[string]any{"seed": seed, "steps": steps}
		}
		step := map[string]any{"after": after}
		switch kind := chance.IntN(10); {
		case kind < 4:
			step["delete"], step["of"] = 1+chance.IntN(3), "read"
		case kind < 5:
			step["delete"], step["of"] = 1+chance.IntN(20), "any"
		case kind < 7:
			step["add"] = 1 + chance.IntN(5)
		default:
			step["edit"], step["of"] = 1+chance.IntN(3), "any"
		}
		steps = append(steps, step)
	}
}

func TestNoUserIsMissedWhileUsersComeAndGo(t *testing.T) {
	t.Parallel()
	f := newFixture(t, fast)
	f.start(programOnboarding)
	f.start(programBackfill, map[string]string{"BACKFILL_SLOTS": "8"})
	var customers []string
	for seed := range *seeds {
		for _, order := range []string{"id", "newest"} {
			customer := fmt.Sprintf("%s-%d", order, seed)
			customers = append(customers, customer)
			f.control(http.MethodPost, "/control/orgs", map[string]any{
				"name": customer, "token": customer + "-token", "users": *seedUsers, "seed": seed + 1, "order": order,
			}, nil)
			f.control(http.MethodPut, "/control/orgs/"+customer+"/life", courseOf(uint64(seed), *seedUsers), nil)
			f.onboard(customer)
		}
	}
	var deleted, recovered int
	for _, customer := range customers {
		f.awaitState(customer, "completed", longest)
		life := f.life(customer)
		deleted += life.Deleted
		recovered += int(f.backfill(customer).Recovered)
		require.NotZero(t, life.Deleted, "%s: something happened while it was read", customer)
		require.True(t, *f.backfill(customer).Verified, customer)
		f.requireNoUserMissed(customer, life.changed())
	}
	t.Logf("%d organisations, %d users deleted while they were read, %d found by reading again", len(customers), deleted, recovered)
	require.NotZero(t, recovered, "the first read alone would have missed users")
}

// life is what the sandbox changed in an organisation.
type life struct {
	Added, Edited, Deleted int
	Events                 []struct {
		What string
		ID   json.Number
	}
}

func (l life) changed() map[string]bool {
	changed := map[string]bool{}
	for _, event := range l.Events {
		changed[event.ID.String()] = true
	}
	return changed
}

// life ends the changes and returns them.
func (f *fixture) life(organisation string) life {
	f.t.Helper()
	var lived life
	f.control(http.MethodGet, "/control/orgs/"+organisation+"/life", nil, &lived)
	f.control(http.MethodDelete, "/control/orgs/"+organisation+"/life", nil, nil)
	return lived
}

// requireNoUserMissed compares the mapping with the organisation's users. Each unchanged user must be mapped. A user that changed
// meanwhile must be mapped or returned by the first poll after the checkpoint.
func (f *fixture) requireNoUserMissed(customer string, changed map[string]bool) {
	f.t.Helper()
	type mapped struct {
		ID string
		At time.Time
	}
	rows, err := f.pool.Query(f.t.Context(), `SELECT vomo_user_id, last_synced_updated_at FROM user_mappings WHERE customer_id = $1`, customer)
	require.NoError(f.t, err)
	mirrored, err := pgx.CollectRows(rows, pgx.RowToStructByPos[mapped])
	require.NoError(f.t, err)
	versions := make(map[string]time.Time, len(mirrored))
	for _, row := range mirrored {
		versions[row.ID] = row.At
	}
	rows, err = f.pool.Query(f.t.Context(), `SELECT checkpoint FROM sync_checkpoints WHERE customer_id = $1`, customer)
	require.NoError(f.t, err)
	checkpoint, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[time.Time])
	require.NoError(f.t, err)
	for _, user := range f.activeUsers(customer) {
		id := user.ID.String()
		version, isMirrored := versions[id]
		if isMirrored && version.Equal(user.UpdatedAt) {
			continue
		}
		require.True(f.t, changed[id], "%s: user %s did not change, and is not in the mirror", customer, id)
		require.False(f.t, user.UpdatedAt.Before(checkpoint), "%s: user %s changed before the checkpoint, and no poll will find that", customer, id)
	}
}

type activeUser struct {
	ID        json.Number `json:"id"`
	UpdatedAt time.Time   `json:"updated_at"` //nolint:tagliatelle // VOMO's names
}

func (f *fixture) activeUsers(organisation string) []activeUser {
	return usersOf[activeUser](f, organisation)
}

type activeUserWithEmail struct {
	ID    json.Number `json:"id"`
	Email string      `json:"email"`
}

func (f *fixture) activeUsersWithEmail(organisation string) []activeUserWithEmail {
	return usersOf[activeUserWithEmail](f, organisation)
}

// usersOf returns all users of an organisation, with the fields of T.
func usersOf[T any](f *fixture, organisation string) []T {
	f.t.Helper()
	users := recordsOf[T](f, "/control/orgs/"+organisation+"/users")
	require.NotEmpty(f.t, users)
	return users
}

// recordsOf returns all records of one of the sandbox's lists, with the fields of T.
func recordsOf[T any](f *fixture, path string) []T {
	f.t.Helper()
	request, err := http.NewRequestWithContext(f.t.Context(), http.MethodGet, f.sandbox+path, http.NoBody)
	require.NoError(f.t, err)
	response, err := (&http.Client{Timeout: longest}).Do(request)
	require.NoError(f.t, err)
	require.Equal(f.t, http.StatusOK, response.StatusCode, path)
	var records []T
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		var record T
		require.NoError(f.t, json.Unmarshal(lines.Bytes(), &record))
		records = append(records, record)
	}
	require.NoError(f.t, lines.Err())
	require.NoError(f.t, response.Body.Close())
	return records
}
