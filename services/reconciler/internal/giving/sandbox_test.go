package giving

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/testkit"
)

// sandbox is the fixture before the sandbox's Virtuous, whose clock runs with the machine's.
type sandbox struct {
	*fixture

	t       *testing.T
	address string
}

// newSandbox starts the sandbox with an organization acme. settings are JSON.
func newSandbox(t *testing.T, settings string) *sandbox {
	t.Helper()
	s := &sandbox{fixture: newFixture(t), t: t}
	address := testkit.FreeAddr(t)
	s.address = "http://" + address
	testkit.Program(t, "rollcall.dev/services/sandbox", testkit.ProgramConfig{
		Env: map[string]string{"HTTP_ADDR": address}, Args: []string{"-virtuous", "acme:" + settings},
	})
	testkit.WaitReady(t, s.address+"/readyz")
	s.reconciler.Virtuous.BaseURL = s.address + "/virtuous"
	s.control(http.MethodPut, "/key", `{"key":"acme","state":"good"}`) // the fixture's keys are the customers' ids
	s.control(http.MethodPut, "/quota", `{"limit":1000000}`)           // the budget's clock stands still
	s.onboard(t, "acme")
	return s
}

// control changes the organization, or shows it.
func (s *sandbox) control(method, path, body string) []byte {
	s.t.Helper()
	request, err := http.NewRequestWithContext(s.t.Context(), method, s.address+"/control/virtuous/orgs/acme"+path, strings.NewReader(body))
	require.NoError(s.t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(s.t, err)
	defer func() { require.NoError(s.t, response.Body.Close()) }()
	var answer json.RawMessage
	require.NoError(s.t, json.NewDecoder(response.Body).Decode(&answer))
	require.Less(s.t, response.StatusCode, 300, string(answer))
	return answer
}

// operations returns how many requests the sandbox has had, by operation.
func (s *sandbox) operations() map[string]int {
	s.t.Helper()
	var report struct {
		Operations map[string]int `json:"operations"`
	}
	require.NoError(s.t, json.Unmarshal(s.control(http.MethodGet, "/quota", ""), &report))
	return report.Operations
}

func (s *sandbox) count(statement string) int64 { return column[int64](s.t, s.fixture, statement)[0] }

func TestMissedWebhookReadsTheQueryOptionsOfVirtuousAndGoesOnAfterACrash(t *testing.T) {
	t.Parallel()
	const gifts, pages = 250, 3 // of a hundred
	for _, parameter := range []string{"UTC", "day"} {
		for _, place := range []string{"page_read", "page_committed"} {
			t.Run(parameter+" "+place, func(t *testing.T) {
				t.Parallel()
				s := newSandbox(t, fmt.Sprintf(`{"utcParameters":%t}`, parameter == "UTC"))
				s.control(http.MethodPost, "/gifts", fmt.Sprintf(`{"count":%d}`, gifts))
				contacts := s.operationsAfterContacts()
				died, at := errors.New("the process died"), 0
				s.reconciler.reached = func(reached string) error {
					if reached == place {
						if at++; at == contacts+2 { // at the second page of gifts
							return died
						}
					}
					return nil
				}

				s.reconcile(t, "acme", bus.CategoryMissedWebhook)
				committed := map[string]int64{"page_read": 100, "page_committed": 200}[place]
				require.Equal(t, committed, s.count(`SELECT count(*) FROM partner_gifts`))
				s.reconcile(t, "acme")

				require.EqualValues(t, gifts, s.count(`SELECT count(*) FROM partner_gifts`))
				require.EqualValues(t, gifts, s.count(`SELECT count(*) FROM virtuous_reconciliation_log WHERE entity = 'gift'`))
				again := map[string]int{"page_read": 1, "page_committed": 0}[place]
				require.Equal(t, pages+again, s.operations()["gift_query"], "committed pages are not read again")
				require.Equal(t, contacts, s.operations()["contact_query"])

				s.requireOneChange()
			})
		}
	}
}

// operationsAfterContacts returns on how many pages the contacts are.
func (s *sandbox) operationsAfterContacts() int {
	s.t.Helper()
	var ledger struct {
		Contacts struct {
			All int `json:"all"`
		} `json:"contacts"`
	}
	require.NoError(s.t, json.Unmarshal(s.control(http.MethodGet, "/ledger", ""), &ledger))
	return max(1, (ledger.Contacts.All+99)/100)
}

// requireOneChange has staff edit one gift, of which another pass logs a row, and a further one none.
func (s *sandbox) requireOneChange() {
	s.t.Helper()
	before := s.count(`SELECT count(*) FROM virtuous_reconciliation_log`)
	id := s.count(`SELECT max(virtuous_gift_id) FROM partner_gifts`)
	s.control(http.MethodPut, fmt.Sprintf("/gifts/%d", id), `{"notes":"by hand"}`)
	for range 2 {
		s.reconcile(s.t, "acme", bus.CategoryMissedWebhook)
		require.Equal(s.t, before+1, s.count(`SELECT count(*) FROM virtuous_reconciliation_log`))
	}
	require.Equal(s.t, id, s.count(`SELECT virtuous_record_id FROM virtuous_reconciliation_log ORDER BY id DESC LIMIT 1`))
}

func TestStuckFindsTheGiftsOfASourceInVirtuous(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, `{}`)
	for i := range 60 {
		id := fmt.Sprintf("don-%02d", i)
		s.submitted(t, "acme", id, 30*time.Hour)
		if i > 0 {
			s.control(http.MethodPost, "/gifts", fmt.Sprintf(`{"transactionSource":"AcmeGive","transactionId":%q}`, id))
		}
	}
	s.control(http.MethodPost, "/gifts", `{"count":20}`)

	s.reconcile(t, "acme", bus.CategoryStuck)

	require.EqualValues(t, 59, s.count(`SELECT count(*) FROM virtuous_donation_queue WHERE recovery_path = 'reconciliation_query'`))
	require.EqualValues(t, 59, s.count(`SELECT count(*) FROM partner_gifts`), "gifts of others are not read")
	require.Equal(t, 1, s.operations()["gift_query"])
	require.Equal(t, 1, s.operations()["gift_lookup"])
}
