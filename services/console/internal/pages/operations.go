package pages

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/console/internal/access"
)

// alertList is the list of alerts.
type alertList struct {
	Who  access.Principal
	Rows []operatorapi.Alert
	All  bool
	Of   string
	AsOf time.Time
	Next string
}

// alerts lists the alerts: active ones, the urgent first.
func (s *Site) alerts(r *http.Request, who access.Principal) (Page, error) {
	list := alertList{Who: who, All: r.URL.Query().Has("all"), Of: chosen(r, who)}
	question := operatorapi.AlertsQuestion{CustomerID: list.Of, All: list.All, Before: numberIn(r, "before"), Limit: lettersShown}
	reply, err := report.Alerts(r.Context(), s.Store, question)
	if err != nil {
		return Page{}, err
	}
	list.Rows = reply.Alerts
	slices.SortStableFunc(list.Rows, func(one, other operatorapi.Alert) int { return rankOfAlert(one) - rankOfAlert(other) })
	if reply.Next != nil {
		list.Next = "/alerts?" + url.Values{"customer": {list.Of}, "before": {strconv.FormatInt(*reply.Next, 10)}}.Encode()
	}
	list.AsOf, err = s.Store.Now(r.Context())
	return Page{Title: "Alerts", Section: "alerts", Fragments: []Fragment{{"alert-list", alertsBody(list)}}}, err
}

func rankOfAlert(alert operatorapi.Alert) int {
	switch {
	case alert.ClearedAt != nil:
		return 2
	case alert.Severity == "high":
		return 0
	}
	return 1
}

func alertState(alert operatorapi.Alert) state {
	switch rankOfAlert(alert) {
	case 0:
		return state{"needs-you", "High", "✖"}
	case 1:
		return state{"starting", "Medium", "▲"}
	}
	return state{"healthy", "Cleared", "✔"}
}

// streamView is one stream with its consumers.
type streamView struct {
	Name      string
	Missing   bool
	Messages  uint64
	Bytes     uint64
	Oldest    *time.Time
	Consumers []consumerView
}

type consumerView struct {
	Name                  string
	Pending               uint64
	InWork, Redelivered   int
	State                 state
	LastDelivered, LastAt *time.Time
}

// streams shows depth, age and redeliveries of each stream.
func (s *Site) streams(r *http.Request, who access.Principal) (Page, error) {
	if who.Customer != "" {
		return Page{}, store.ErrNotFound
	}
	bounded, cancel := context.WithTimeout(r.Context(), askTimeout)
	defer cancel()
	var views []streamView
	for _, name := range bus.StreamNames() {
		one, err := s.stream(bounded, name)
		if err != nil {
			return Page{}, fmt.Errorf("read stream %s: %w", name, err)
		}
		views = append(views, one)
	}
	now, err := s.Store.Now(r.Context())
	return Page{Title: "Streams", Section: "streams", Fragments: []Fragment{{"stream-list", streamsBody(views, now)}}}, err
}

func (s *Site) stream(ctx context.Context, name string) (streamView, error) {
	view := streamView{Name: name}
	stream, err := s.JetStream.Stream(ctx, name)
	if err != nil {
		view.Missing = true
		return view, nil //nolint:nilerr // the page says that the stream is missing
	}
	info := stream.CachedInfo()
	view.Messages, view.Bytes = info.State.Msgs, info.State.Bytes
	if info.State.Msgs > 0 {
		view.Oldest = &info.State.FirstTime
	}
	consumers := stream.ListConsumers(ctx)
	for consumer := range consumers.Info() {
		view.Consumers = append(view.Consumers, consumerOf(consumer))
	}
	return view, consumers.Err()
}

func consumerOf(info *jetstream.ConsumerInfo) consumerView {
	view := consumerView{
		Name: info.Name, Pending: info.NumPending, InWork: info.NumAckPending, Redelivered: info.NumRedelivered,
		State: state{"healthy", "Fine", "✔"}, LastDelivered: info.Delivered.Last, LastAt: info.AckFloor.Last,
	}
	if info.NumRedelivered > 0 {
		view.State = state{"starting", "Redelivers", "◔"}
	}
	if info.NumPending > 0 && info.NumWaiting == 0 && info.NumAckPending == 0 {
		view.State = state{"needs-you", "No worker asks", "✖"}
	}
	return view
}

// recordQuery says which record is searched for.
type recordQuery struct{ Customer, Kind, ID string }

// recordView is a record's timeline.
type recordView struct {
	Who     access.Principal
	App     virtuousApp
	Query   recordQuery
	Reply   *operatorapi.TraceReply
	Problem *problemWords
	AsOf    time.Time
}

// record shows what became of one record.
func (s *Site) record(r *http.Request, who access.Principal) (Page, error) {
	values := r.URL.Query()
	view := recordView{Who: who, App: virtuousApp(s.Settings.VirtuousAppURL)}
	view.Query = recordQuery{Customer: chosen(r, who), Kind: values.Get("kind"), ID: strings.TrimSpace(values.Get("id"))}
	page := Page{Title: "Record", Section: "record", Still: true} // Virtuous may be asked
	if who.Customer != "" {
		page.Section = "customers"
	}
	if view.Query.Customer != "" && view.Query.ID != "" {
		noun := "record"
		if view.Query.Kind == operatorapi.TraceUser || view.Query.Kind == "" {
			noun, view.Query.Kind = "users", operatorapi.TraceUser
		}
		reply, err := operatorclient.Ask[operatorapi.TraceQuestion, operatorapi.TraceReply](r.Context(), s.client(who), noun, "show", operatorapi.TraceQuestion{
			CustomerID: view.Query.Customer, Kind: view.Query.Kind, RecordID: view.Query.ID,
		})
		if err != nil {
			_, words := explainError(err)
			view.Problem = &words
		} else {
			view.Reply = &reply
		}
	}
	var err error
	view.AsOf, err = s.Store.Now(r.Context())
	page.Fragments = []Fragment{{"record", recordBody(view)}}
	return page, err
}

func recordPath(customer, kind, id string) string {
	return "/record?" + url.Values{"customer": {customer}, "kind": {kind}, "id": {id}}.Encode()
}

func causeState(cause operatorapi.TraceCause) state {
	switch cause.State {
	case operatorapi.CauseOK:
		return state{"healthy", "Fine", "✔"}
	case operatorapi.CauseWait:
		return state{"starting", "Waits", "◔"}
	}
	return state{"needs-you", "Act", "✖"}
}

// actList is the list of what operators and customers did.
type actList struct {
	Rows []operatorapi.Act
	AsOf time.Time
	Next string
	Of   string
	Verb string
}

func (s *Site) audit(r *http.Request, who access.Principal) (Page, error) {
	if who.Customer != "" {
		return Page{}, store.ErrNotFound
	}
	list := actList{Of: r.URL.Query().Get("customer"), Verb: r.URL.Query().Get("verb")}
	reply, err := report.Acts(r.Context(), s.Store, operatorapi.ActsQuestion{CustomerID: list.Of, Verb: list.Verb, Before: numberIn(r, "before"),
		Limit: lettersShown})
	if err != nil {
		return Page{}, err
	}
	list.Rows = reply.Acts
	if reply.Next != nil {
		list.Next = "/audit?" + url.Values{"customer": {list.Of}, "verb": {list.Verb}, "before": {strconv.FormatInt(*reply.Next, 10)}}.Encode()
	}
	list.AsOf, err = s.Store.Now(r.Context())
	return Page{Title: "Audit", Section: "audit", Fragments: []Fragment{{"audit-list", auditBody(list)}}}, err
}

func actState(act operatorapi.Act) state {
	switch act.Outcome {
	case store.ActDone:
		return state{"healthy", "Done", "✔"}
	case store.ActRejected:
		return state{"offboarded", "Rejected", "○"}
	case store.ActFailed:
		return state{"needs-you", "Failed", "✖"}
	}
	return state{"starting", "Begun", "◔"}
}

func restOf(consumers []consumerView) []consumerView {
	if len(consumers) < 2 {
		return nil
	}
	return consumers[1:]
}
