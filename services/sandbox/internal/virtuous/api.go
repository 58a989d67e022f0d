// Package virtuous is the HTTP API of the sandbox's Virtuous CRM+.
//
// It owns keys, the request quota, the forms of errors, the JSON of records, and queries. What exists, it asks package
// gifts. It promises to answer in the forms that public recordings show, and leaves what the vendor's documents contradict to
// the settings of an organisation. Success bodies of transactions are empty.
package virtuous

import (
	"cmp"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"rollcall.dev/services/sandbox/internal/answer"
	"rollcall.dev/services/sandbox/internal/faults"
	"rollcall.dev/services/sandbox/internal/gifts"
	"rollcall.dev/services/sandbox/internal/traffic"
)

// Unknown is the name under which the ledger counts requests without a known key.
const Unknown = "_unknown"

// BrokenBody is the body of an answer that a fault cuts short.
const BrokenBody = `{"list":[{"id":88`

// maxBody is the largest request that is read: a batch of some thousand transactions.
const maxBody = 16 << 20

// API is Virtuous' HTTP API.
type API struct {
	Organisations *gifts.Directory
	Ledger        *traffic.Ledger
	Gate          *faults.Gate
	Quotas        *Quotas
	NowFunc       func() time.Time

	requests atomic.Uint64
}

// Routes adds the endpoints below /virtuous.
func (a *API) Routes(mux *http.ServeMux) {
	for pattern, to := range map[string]route{
		"GET /api/Organization/Current":       {"organization", a.showOrganisation},
		"POST /api/v2/Gift/Transaction":       {"transaction", a.submit},
		"POST /api/v2/Gift/Transactions":      {"transactions", a.submitMany},
		"POST /api/Contact/Transaction":       {"contact_transaction", a.submitContact},
		"GET /api/Gift/{id}":                  {"gift", a.showGift},
		"GET /api/Gift/{source}/{id}":         {"gift_lookup", a.lookUpGift},
		"GET /api/Gift/ByContact/{id}":        {"gift_query", a.giftsOfContact},
		"POST /api/Gift/Query":                {"gift_query", a.queryGifts},
		"POST /api/Gift/Query/FullGift":       {"gift_query", a.queryFullGifts},
		"GET /api/Gift/QueryOptions":          {"query_options", a.giftOptions},
		"GET /api/Contact/{id}":               {"contact", a.showContact},
		"GET /api/Contact/{source}/{id}":      {"contact_lookup", a.lookUpContact},
		"GET /api/Contact/Find":               {"contact_lookup", a.findContact},
		"POST /api/Contact/Query":             {"contact_query", a.queryContacts},
		"POST /api/Contact/Query/FullContact": {"contact_query", a.queryFullContacts},
		"GET /api/Contact/QueryOptions":       {"query_options", a.contactOptions},
		"POST /api/ContactMethod":             {"contact_write", a.addMethod},
		"PUT /api/ContactMethod/{id}":         {"contact_write", a.replaceMethod},
		"POST /api/ContactAddress":            {"contact_write", a.addAddress},
		"PUT /api/ContactAddress/{id}":        {"contact_write", a.replaceAddress},
		"PUT /api/ContactIndividual/{id}":     {"contact_write", a.replaceIndividual},
		"GET /api/Project":                    {"project", a.listProjects},
		"GET /api/Project/{id}":               {"project", a.showProject},
		"GET /api/Project/Code/{code}":        {"project", a.showProjectOfCode},
		"POST /api/Project/Query":             {"project", a.queryProjects},
		"GET /api/Project/QueryOptions":       {"query_options", a.projectOptions},
		"POST /api/Webhook":                   {"webhook", a.subscribe},
		"GET /api/Webhook/{id}":               {"webhook", a.showSubscription},
		"PUT /api/Webhook/{id}":               {"webhook", a.replaceSubscription},
		"PUT /api/Webhook/{id}/Active":        {"webhook", a.activateSubscription},
		"DELETE /api/Webhook/{id}":            {"webhook", a.unsubscribe},
		"/api/":                               {"", func(c *call) { c.notFound("Resource") }},
	} {
		method, path, found := strings.Cut(pattern, " ")
		if !found {
			method, path = "", pattern
		}
		mux.HandleFunc(strings.TrimSpace(method+" /virtuous"+path), a.handle(to))
	}
	mux.HandleFunc("POST /virtuous/Token", a.token)
}

type route struct {
	operation string
	answer    func(*call)
}

// call is one request of a known organisation.
type call struct {
	w    *traffic.Recorder
	r    *http.Request
	o    *gifts.Organisation
	is   gifts.Identity
	now  time.Time
	body []byte
	of   faults.Request
	api  *API
}

// handle counts a request, spends the quota, applies the faults, and checks the key.
func (a *API) handle(to route) http.HandlerFunc {
	return func(plain http.ResponseWriter, r *http.Request) {
		key, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		name, found := Unknown, a.Organisations.WithAccess(key, a.NowFunc())
		c := &call{r: r, o: found, now: a.NowFunc(), api: a}
		if found != nil {
			found.Advance(c.now)
			c.is = found.Identity()
			name = c.is.Name
		}
		a.Ledger.Arrive(name)
		c.w = traffic.Record(plain, func(outcome string) { a.Ledger.Answered(name, outcome) })
		c.w.Header().Set("X-Request-ID", fmt.Sprintf("sandbox-%016x", a.requests.Add(1)))
		body, err := answer.BodyUpTo(c.w, r, maxBody)
		if err != nil {
			c.refuse(refusal{status: http.StatusRequestEntityTooLarge, message: "The request is too large."})
			return
		}
		c.body = body
		c.of = faults.Request{Name: name, Operation: to.operation, Record: c.record()}
		within := found == nil || a.Quotas.spend(c, to.operation)
		switch {
		case !a.Gate.Pass(c.w, r, c.of):
		case found == nil || c.is.KeyState == gifts.KeyRevoked:
			c.refuse(refusal{status: http.StatusUnauthorized})
		case !within:
			c.refuse(refusal{status: http.StatusTooManyRequests, code: "RATE_LIMITED", message: "You have exceeded the request rate limit."})
		case c.is.KeyState == gifts.KeyForbidden:
			c.refuse(refusal{status: http.StatusForbidden})
		default:
			to.answer(c)
		}
	}
}

// record returns the one record that a request is about, for the faults that name records.
func (c *call) record() string {
	if id := c.r.PathValue("id"); id != "" || len(c.body) == 0 {
		return id
	}
	var named struct {
		TransactionID text `json:"transactionId"`
		ReferenceID   text `json:"referenceId"`
	}
	if err := decode(c.body, &named); err != nil {
		return ""
	}
	return string(cmp.Or(named.TransactionID, named.ReferenceID))
}

// id returns the number in the path, or 0.
func (c *call) id() int64 {
	id, err := strconv.ParseInt(c.r.PathValue("id"), 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// done answers a request that succeeded without a body.
func (c *call) done() {
	c.w.Header().Set("Content-Length", "0")
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(nil) // a fault that spoils the answer waits for the body
}

func (c *call) json(body any) { answer.JSON(c.w, http.StatusOK, body) }

func (a *API) showOrganisation(c *call) {
	settings := c.is.Settings
	zone := cmp.Or(settings.ShownZone, settings.Zone)
	c.json(struct {
		UserID          int64  `json:"organizationUserId"`
		Name            string `json:"organizationName"`
		TimeZone        string `json:"organizationTimeZone"`
		Culture         string `json:"organizationCulture"`
		UserTimeZone    string `json:"currentUserTimeZone"`
		IsAdministrator bool   `json:"isAdministrator"`
		IsEnabled       bool   `json:"isEnabled"`
	}{c.is.ID, settings.Title, zone, settings.Culture, zone, true, settings.Enabled})
}
