package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// received is one delivery as it came.
type received struct {
	body      []byte
	signature string
}

// receiver is a server that subscribes to everything. It answers with the next of the statuses, or else with 200.
type receiver struct {
	*httptest.Server

	mu       sync.Mutex
	all      []received
	statuses []int
	arrived  chan received
}

const webhookSecret = "whsec-3b0c"

func newReceiver(t *testing.T, s *fixture, statuses ...int) *receiver {
	t.Helper()
	r := &receiver{statuses: statuses, arrived: make(chan received, 10_000)}
	r.Server = httptest.NewServer(http.HandlerFunc(r.receive))
	t.Cleanup(r.Close)
	s.subscribe(r.URL + "/webhooks/virtuous/acme")
	return r
}

func (r *receiver) receive(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	status := http.StatusOK
	if len(r.statuses) > 0 {
		status, r.statuses = r.statuses[0], r.statuses[1:]
	}
	one := received{body: body, signature: request.Header.Get("X-Virtuous-Signature")}
	if status == http.StatusOK {
		r.all = append(r.all, one)
		r.arrived <- one
	}
	w.WriteHeader(status)
}

func (r *receiver) bodies() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	bodies := []string{}
	for _, one := range r.all {
		bodies = append(bodies, string(one.body))
	}
	return bodies
}

// subscribe subscribes to all events of gifts and contacts, and returns the subscription's id.
func (s *fixture) subscribe(url string) int {
	s.t.Helper()
	got := s.virtuous(http.MethodPost, "/Webhook", fmt.Sprintf(`{"payloadUrl":%q,"secret":%q,"active":true,"contactCreate":true,
		"contactUpdate":true,"giftCreate":true,"giftUpdate":true,"giftDelete":true}`, url, webhookSecret))
	require.Equal(s.t, http.StatusOK, got.status, got.body)
	return int(got.json(s.t)["id"].(float64))
}

func (s *fixture) deliver() map[string]any {
	s.t.Helper()
	return s.giving(http.MethodPost, "/deliver", "", http.StatusOK)
}

func TestSubscriptionIsShownReplacedSwitchedAndDeleted(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	path := fmt.Sprintf("/Webhook/%d", s.subscribe("https://hooks.example.org/x"))
	shown := s.virtuous(http.MethodGet, path, "").json(t)
	require.Equal(t, webhookSecret, shown["secret"])
	require.Equal(t, true, shown["giftDelete"])
	require.Equal(t, false, shown["projectCreate"])
	replaced := s.virtuous(http.MethodPut, path, `{"payloadUrl":"https://hooks.example.org/y","active":true,"GiftCreate":true}`).json(t)
	require.Equal(t, true, replaced["giftCreate"])
	require.Equal(t, false, replaced["giftDelete"], "what is left out is off")
	require.Equal(t, false, s.virtuous(http.MethodPut, path+"/Active?active=false", "").json(t)["active"])
	require.Equal(t, http.StatusNoContent, s.virtuous(http.MethodDelete, path, "").status)
	for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPut} {
		require.Equal(t, http.StatusNotFound, s.virtuous(method, path, "").status)
	}
	require.Equal(t, http.StatusNotFound, s.virtuous(http.MethodGet, "/Webhook", "").status, "nothing lists them")
	require.Equal(t, http.StatusBadRequest, s.virtuous(http.MethodPost, "/Webhook", `{"payloadUrl":"hooks"}`).status)
}

func TestDeliveryIsSignedInEitherEncoding(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"base64", "hex"} {
		s := newGivingFixture(t, `{"webhooks":{"encoding":"`+encoding+`"}}`)
		r := newReceiver(t, s)
		s.giving(http.MethodPost, "/gifts", `{"count":3}`, http.StatusCreated)
		require.InDelta(t, 6, s.deliver()["delivered"], 0, "contacts and gifts alternate, so each delivery has one of them")
		for _, one := range r.all {
			mac := hmac.New(sha256.New, []byte(webhookSecret))
			mac.Write(one.body)
			wanted := base64.StdEncoding.EncodeToString(mac.Sum(nil))
			if encoding == "hex" {
				wanted = hex.EncodeToString(mac.Sum(nil))
			}
			require.Equal(t, wanted, one.signature)
		}
		s.giving(http.MethodPut, "/settings", `{"webhooks":{"badSignatures":1}}`, http.StatusOK)
		require.InDelta(t, 1, s.giving(http.MethodPost, "/send", `{"body":"odd"}`, http.StatusOK)["accepted"], 0)
		mac := hmac.New(sha256.New, []byte(webhookSecret))
		mac.Write([]byte("odd"))
		require.Equal(t, "odd", string(r.all[6].body))
		require.NotContains(t, []string{base64.StdEncoding.EncodeToString(mac.Sum(nil)), hex.EncodeToString(mac.Sum(nil))}, r.all[6].signature)
	}
}

func TestEventComesInEachEnvelope(t *testing.T) {
	t.Parallel()
	for envelope, wanted := range map[string][]string{
		"bulk": {
			`{"event":"ContactCreate","models":[{"contact":{"id":5120,`, `{"event":"GiftCreate","models":[{"gift":{"id":88101,`,
			`{"event":"GiftUpdate","models":[{"gift":{"id":88101,`, `{"event":"GiftDelete","models":[{`,
		},
		"single": {`{"contact":{"id":5120,`, `{"event":"GiftCreate","gift":{"id":88101,`, `{"event":"GiftUpdate","gift":{"id":88101,`, `{"event":"GiftDelete",`},
		"guide": {
			`{"data":{"id":5120,`, `{"data":{"id":88101,`, `{"data":{"id":88101,`,
			`{"data":{"id":88101},"eventId":"evt_4","eventType":"gift.deleted","organizationId":4001,"timestamp":"2026-11-20T12:00:0`,
		},
		"camel": {`{"data":{"id":5120,`, `{"data":{"id":88101,`, `{"data":{"id":88101,`, `{"data":{"id":88101},"eventId":"evt_4","eventType":"giftDelete",`},
	} {
		s := newGivingFixture(t, `{"webhooks":{"envelope":"`+envelope+`"}}`)
		r := newReceiver(t, s)
		s.giving(http.MethodPost, "/gifts", `{"customFields":[{"name":"UTM Campaign","value":"spring"}]}`, http.StatusCreated)
		s.giving(http.MethodPut, "/gifts/88101", `{"amount":7}`, http.StatusOK)
		s.giving(http.MethodDelete, "/gifts/88101", "", http.StatusNoContent)
		s.deliver()
		bodies := r.bodies()
		require.Len(t, bodies, 4, envelope)
		for i, start := range wanted {
			require.True(t, strings.HasPrefix(bodies[i], start), "%s: %s", envelope, bodies[i])
		}
		var contact, gift struct {
			Models              []struct{ Contact, Gift map[string]any }
			Data, Contact, Gift map[string]any
		}
		require.NoError(t, json.Unmarshal([]byte(bodies[0]), &contact))
		require.NoError(t, json.Unmarshal([]byte(bodies[1]), &gift))
		observed := contact.Contact
		if envelope == "bulk" {
			observed = contact.Models[0].Contact
			require.Equal(t, map[string]any{"UTM Campaign": "spring"}, gift.Models[0].Gift["customFields"])
		}
		if observed != nil {
			require.Contains(t, observed, "contactAddresses")
			require.NotContains(t, observed, "address")
		} else {
			require.Contains(t, contact.Data, "address")
			require.Len(t, gift.Data["customFields"], 1)
		}
	}
}

func TestLargeDeliveryHasThousandsOfRecords(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{"webhooks":{"batch":5000}}`)
	s.giving(http.MethodPost, "/contacts", "", http.StatusCreated)
	r := newReceiver(t, s)
	s.giving(http.MethodPost, "/gifts", `{"count":1000,"contactId":5120}`, http.StatusCreated)
	s.deliver()
	require.Len(t, r.all, 1)
	require.Greater(t, len(r.all[0].body), 1<<20)
}

// fates returns what became of each event, by its record and version.
func (s *fixture) fates() map[string]string {
	s.t.Helper()
	fates := map[string]string{}
	for _, line := range dump[struct {
		Event, TransactionID string
		Version              int
		Lost                 bool
		Copies, Delivered    int
	}](s, "/virtuous/orgs/acme/events") {
		fates[fmt.Sprint(line.Event, line.TransactionID, line.Version)] = fmt.Sprint(line.Lost, line.Copies, line.Delivered)
	}
	return fates
}

func TestSeedDecidesWhichEventsAreLostDoubledAndLate(t *testing.T) {
	t.Parallel()
	run := func(seed, order int) (map[string]string, []string) {
		s := newFixture(t)
		s.control(http.MethodPost, "/virtuous/orgs", fmt.Sprintf(`{"name":"acme","seed":%d,
			"settings":{"webhooks":{"loss":0.1,"duplicates":0.05,"reordered":0.2,"envelope":"single"}}}`, seed), http.StatusCreated)
		r := newReceiver(t, s)
		for i := range 200 {
			number := i
			if order < 0 {
				number = 199 - i
			}
			s.submit(gives(fmt.Sprintf("don-%d", number), "10.00", strconv.Itoa(number)))
		}
		s.advance(24 * time.Hour)
		s.deliver()
		ids := []string{}
		for _, body := range r.bodies() {
			var one struct {
				Gift *struct{ TransactionID string }
			}
			require.NoError(t, json.Unmarshal([]byte(body), &one))
			if one.Gift != nil {
				ids = append(ids, one.Gift.TransactionID)
			}
		}
		return s.fates(), ids
	}
	fates, ids := run(7, 1)
	again, sameIDs := run(7, 1)
	require.Equal(t, fates, again)
	require.Equal(t, ids, sameIDs)
	other, _ := run(7, -1)
	require.Equal(t, fates, other, "the order of the requests does not matter")
	different, _ := run(8, 1)
	require.NotEqual(t, fates, different)

	kinds := map[string]int{}
	for event, fate := range fates {
		if strings.HasPrefix(event, "GiftCreate") {
			kinds[fate]++
		}
	}
	require.InDelta(t, 20, kinds["true 0 0"], 15)
	require.InDelta(t, 10, kinds["false 2 2"], 9)
	require.Equal(t, 200, kinds["true 0 0"]+kinds["false 1 1"]+kinds["false 2 2"])
	numbers := make([]int, 0, len(ids))
	for _, id := range ids {
		var number int
		_, err := fmt.Sscanf(id, "don-%d", &number)
		require.NoError(t, err)
		numbers = append(numbers, number)
	}
	require.False(t, slices.IsSorted(numbers))
}

func TestRefusedDeliveryIsTriedAgainAndThenGivenUp(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, `{"webhooks":{"attempts":2}}`)
	s.giving(http.MethodPost, "/contacts", "", http.StatusCreated)
	r := newReceiver(t, s, http.StatusServiceUnavailable, http.StatusOK, http.StatusBadRequest, http.StatusFound)
	s.giving(http.MethodPost, "/gifts", `{"contactId":5120}`, http.StatusCreated)
	require.InDelta(t, 1, s.deliver()["waiting"], 0)
	require.InDelta(t, 1, s.deliver()["delivered"], 0)
	s.giving(http.MethodPost, "/gifts", `{"contactId":5120}`, http.StatusCreated)
	s.deliver()
	require.InDelta(t, 0, s.deliver()["waiting"], 0)
	require.Len(t, r.bodies(), 1)
	events := s.giving(http.MethodGet, "/ledger", "", http.StatusOK)["events"].(map[string]any)
	require.Equal(t, map[string]any{"all": 2.0, "lost": 0.0, "doubled": 0.0, "delivered": 1.0, "undelivered": 1.0, "waiting": 0.0}, events)
}

func TestEventsOfAnInactiveSubscriptionAreDropped(t *testing.T) {
	t.Parallel()
	s := newGivingFixture(t, "")
	r := newReceiver(t, s)
	s.virtuous(http.MethodPut, "/Webhook/31/Active?active=false", "")
	s.giving(http.MethodPost, "/gifts", "", http.StatusCreated)
	s.virtuous(http.MethodPut, "/Webhook/31/Active?active=true", "")
	s.deliver()
	require.Empty(t, r.bodies())
}

func TestRunningSandboxDeliversByItselfAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "state.json")
	first := launch(t, "-virtuous", `acme:{"webhooks":{"manual":true}}`, "-state-file", file)
	r := newReceiver(t, first.fixture)
	first.submit(anaGives)
	first.advance(24 * time.Hour)
	lines := map[string]string{}
	paths := []string{"/orgs"}
	for _, list := range []string{"transactions", "gifts", "contacts", "projects", "subscriptions", "imports"} {
		paths = append(paths, "/orgs/acme/"+list)
	}
	for _, path := range paths {
		lines[path] = first.do(http.MethodGet, "/control/virtuous"+path, "", "").body
	}
	code, logs := first.stop()
	require.Zero(t, code, logs)

	second := launch(t, "-virtuous", "acme", "-state-file", file)
	for _, path := range paths {
		require.Equal(t, lines[path], second.do(http.MethodGet, "/control/virtuous"+path, "", "").body, path)
	}
	status, _ := second.lookup("don-1")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, http.StatusBadRequest, second.virtuous(http.MethodPost, "/v2/Gift/Transaction", anaGives).status)
	require.Empty(t, r.bodies())
	second.giving(http.MethodPut, "/settings", `{"webhooks":{"manual":false}}`, http.StatusOK)
	r.await(t, "ContactCreate")
	r.await(t, "GiftCreate")
	second.submit(gives("don-2", "5.00", "bo"))
	second.advance(24 * time.Hour)
	r.await(t, "don-2")
	code, logs = second.stop()
	require.Zero(t, code, logs)
}

// await waits for a delivery that contains a text.
func (r *receiver) await(t *testing.T, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		select {
		case one := <-r.arrived:
			if strings.Contains(string(one.body), text) {
				return
			}
		case <-ctx.Done():
			t.Fatalf("no delivery with %s", text)
		}
	}
}
