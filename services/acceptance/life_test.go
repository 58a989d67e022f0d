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

// By hand, in full: go test ./services/acceptance -run ComeAndGo -seeds 50 -seed-users 3000.
var (
	seeds     = flag.Int("seeds", 3, "how many courses of events a test goes through")
	seedUsers = flag.Int("seed-users", 900, "users of an organisation in such a test")
)

// courseOf is what happens to an organisation while it is read, by chance but always the same for one seed. No
// addition and deletion fall between the same two reads: they leave the count as it was, and no client that reads
// pages can see that.
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
	h := newHouse(t, fast)
	h.start(programOnboarding)
	h.start(programBackfill, map[string]string{"BACKFILL_SLOTS": "8"})
	var customers []string
	for seed := range *seeds {
		for _, order := range []string{"id", "newest"} {
			customer := fmt.Sprintf("%s-%d", order, seed)
			customers = append(customers, customer)
			h.control(http.MethodPost, "/control/orgs", map[string]any{
				"name": customer, "token": customer + "-token", "users": *seedUsers, "seed": seed + 1, "order": order,
			}, nil)
			h.control(http.MethodPut, "/control/orgs/"+customer+"/life", courseOf(uint64(seed), *seedUsers), nil)
			h.onboard(customer)
		}
	}
	var deleted, recovered int
	for _, customer := range customers {
		h.untilState(customer, "completed", longest)
		life := h.life(customer)
		deleted += life.Deleted
		recovered += int(h.backfill(customer).Recovered)
		require.NotZero(t, life.Deleted, "%s: something happened while it was read", customer)
		require.True(t, *h.backfill(customer).Verified, customer)
		h.requireNoUserMissed(customer, life.changed())
	}
	t.Logf("%d organisations, %d users deleted while they were read, %d found by reading again", len(customers), deleted, recovered)
	require.NotZero(t, recovered, "the first reading alone would have missed somebody")
}

// life is what the sandbox did to an organisation.
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

// life ends the course of events and says what it was.
func (h *house) life(organisation string) life {
	h.t.Helper()
	var lived life
	h.control(http.MethodGet, "/control/orgs/"+organisation+"/life", nil, &lived)
	h.control(http.MethodDelete, "/control/orgs/"+organisation+"/life", nil, nil)
	return lived
}

// requireNoUserMissed compares the mapping with who is alive: the unchanged stand in it, and the users that changed
// meanwhile does, or comes with the first read past the checkpoint.
func (h *house) requireNoUserMissed(customer string, changed map[string]bool) {
	h.t.Helper()
	type mapped struct {
		ID string
		At time.Time
	}
	rows, err := h.pool.Query(h.t.Context(), `SELECT vomo_user_id, last_synced_updated_at FROM user_mappings WHERE customer_id = $1`, customer)
	require.NoError(h.t, err)
	mirrored, err := pgx.CollectRows(rows, pgx.RowToStructByPos[mapped])
	require.NoError(h.t, err)
	versions := make(map[string]time.Time, len(mirrored))
	for _, row := range mirrored {
		versions[row.ID] = row.At
	}
	rows, err = h.pool.Query(h.t.Context(), `SELECT checkpoint FROM sync_checkpoints WHERE customer_id = $1`, customer)
	require.NoError(h.t, err)
	checkpoint, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[time.Time])
	require.NoError(h.t, err)
	for _, user := range h.alive(customer) {
		id := user.ID.String()
		version, isMirrored := versions[id]
		if isMirrored && version.Equal(user.UpdatedAt) {
			continue
		}
		require.True(h.t, changed[id], "%s: user %s did not change, and is not in the mirror", customer, id)
		require.False(h.t, user.UpdatedAt.Before(checkpoint), "%s: user %s changed before the checkpoint, and no poll will find that", customer, id)
	}
}

type aliveUser struct {
	ID        json.Number `json:"id"`
	UpdatedAt time.Time   `json:"updated_at"` //nolint:tagliatelle // VOMO's names
}

func (h *house) alive(organisation string) []aliveUser { return everybody[aliveUser](h, organisation) }

type aliveWithEmail struct {
	ID    json.Number `json:"id"`
	Email string      `json:"email"`
}

func (h *house) aliveWithEmail(organisation string) []aliveWithEmail {
	return everybody[aliveWithEmail](h, organisation)
}

// everybody of an organisation, with the fields that T has.
func everybody[T any](h *house, organisation string) []T {
	h.t.Helper()
	request, err := http.NewRequestWithContext(h.t.Context(), http.MethodGet, h.sandbox+"/control/orgs/"+organisation+"/users", http.NoBody)
	require.NoError(h.t, err)
	response, err := (&http.Client{Timeout: longest}).Do(request)
	require.NoError(h.t, err)
	var users []T
	for lines := bufio.NewScanner(response.Body); lines.Scan(); {
		var user T
		require.NoError(h.t, json.Unmarshal(lines.Bytes(), &user))
		users = append(users, user)
	}
	require.NoError(h.t, response.Body.Close())
	require.NotEmpty(h.t, users)
	return users
}
