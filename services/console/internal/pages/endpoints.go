package pages

import (
	"net/http"
	"net/url"
	"strconv"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/console/internal/access"
)

// endpointList is the list of addresses that get webhooks.
type endpointList struct {
	Who  access.Principal
	Rows []operatorapi.Endpoint
	AsOf time.Time
	Next string
}

// endpoints lists the addresses of partners' backends that get webhooks.
func (s *Site) endpoints(r *http.Request, who access.Principal) (Page, error) {
	if who.Customer != "" {
		return Page{}, store.ErrNotFound
	}
	question := operatorapi.EndpointsQuestion{After: numberIn(r, "after"), Limit: lettersShown}
	reply, err := operatorclient.Ask[operatorapi.EndpointsQuestion, operatorapi.EndpointsReply](r.Context(), s.client(who), "endpoints", "ls", question)
	if err != nil {
		return Page{}, err
	}
	list := endpointList{Who: who, Rows: reply.Endpoints}
	if reply.Next != nil {
		list.Next = "/endpoints?after=" + strconv.FormatInt(*reply.Next, 10)
	}
	list.AsOf, err = s.Store.Now(r.Context())
	return Page{Title: "Endpoints", Section: "endpoints", Fragments: []Fragment{{"endpoint-list", endpointsBody(list)}}}, err
}

// endpointView is one endpoint with its deliveries.
type endpointView struct {
	Who        access.Principal
	Endpoint   operatorapi.Endpoint
	Deliveries []operatorapi.EndpointDelivery
	AsOf       time.Time
	Next       string
}

// endpoint is the page of one endpoint.
func (s *Site) endpoint(r *http.Request, who access.Principal) (Page, error) {
	id, err := strconv.ParseInt(r.PathValue("endpoint"), 10, 64)
	if err != nil || who.Customer != "" {
		return Page{}, store.ErrNotFound
	}
	view := endpointView{Who: who}
	view.Endpoint, err = operatorclient.Ask[operatorapi.EndpointQuestion, operatorapi.Endpoint](r.Context(), s.client(who), "endpoints", "show",
		operatorapi.EndpointQuestion{ID: id})
	if err != nil {
		return Page{}, err
	}
	question := operatorapi.EndpointDeliveriesQuestion{ID: id, State: r.URL.Query().Get("state"), Limit: lettersShown}
	if at, err := time.Parse(time.RFC3339Nano, r.URL.Query().Get("at")); err == nil {
		question.Before = &operatorapi.EndpointPlace{CreatedAt: at, ID: r.URL.Query().Get("before")}
	}
	reply, err := operatorclient.Ask[operatorapi.EndpointDeliveriesQuestion, operatorapi.EndpointDeliveriesReply](r.Context(), s.client(who),
		"endpoints", "deliveries", question)
	if err != nil {
		return Page{}, err
	}
	view.Deliveries = reply.Deliveries
	if reply.Next != nil {
		view.Next = endpointPath(id) + "?" + url.Values{"at": {reply.Next.CreatedAt.Format(time.RFC3339Nano)}, "before": {reply.Next.ID},
			"state": {question.State}}.Encode()
	}
	view.AsOf, err = s.Store.Now(r.Context())
	return Page{Title: "Endpoint " + view.Endpoint.Host, Section: "endpoints", Still: true, Fragments: []Fragment{{"endpoint", endpointBody(view)}}}, err
}

// testEndpoint sends a test event.
func (s *Site) testEndpoint(r *http.Request, who access.Principal) (string, error) {
	id, err := strconv.ParseInt(r.PathValue("endpoint"), 10, 64)
	if err != nil || who.Customer != "" {
		return "", store.ErrNotFound
	}
	client := s.client(who)
	client.Timeout = testTimeout
	tested, err := operatorclient.Ask[operatorapi.EndpointQuestion, operatorapi.EndpointTested](r.Context(), client, "endpoints", "test",
		operatorapi.EndpointQuestion{ID: id})
	return saying(endpointPath(id), "test-"+tested.Outcome), err
}

// testTimeout is how long a test waits for the endpoint's answer.
const testTimeout = 20 * time.Second

func endpointPath(id int64) string { return "/endpoints/" + strconv.FormatInt(id, 10) }

func endpointState(endpoint operatorapi.Endpoint) state {
	switch endpoint.State {
	case operatorapi.EndpointEnabled:
		return state{"healthy", "Enabled", "✔"}
	case operatorapi.EndpointFailing:
		return state{"starting", "Failing", "◔"}
	}
	return state{"needs-you", "Disabled", "✖"}
}

func deliveryState(delivery operatorapi.EndpointDelivery) state {
	switch delivery.State {
	case "delivered":
		return state{"healthy", "Delivered", "✔"}
	case "pending":
		return state{"starting", "Pending", "◔"}
	}
	return state{"needs-you", "Failed", "✖"}
}

// disabledWords says why an endpoint is disabled, and what enables it.
func disabledWords(reason string) string {
	if reason == "gone" {
		return "It answered 410 Gone. Enable it again when it is back: rollcall endpoint set."
	}
	return "An operator disabled it."
}
