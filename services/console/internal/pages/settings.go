package pages

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/store"
	"rollcall.dev/services/console/internal/access"
)

// settingsView is what runs, and how it is set.
type settingsView struct {
	Services []runningService
	Settings []config.Shown
}

// runningService is a service with its processes.
type runningService struct {
	Name      string
	Processes int
	Versions  string
}

// settings shows the settings in force and the versions of the running services.
func (s *Site) settings(_ *http.Request, who access.Principal) (Page, error) {
	if who.Customer != "" {
		return Page{}, store.ErrNotFound
	}
	services, err := runningServices(s.Conn)
	view := settingsView{Services: services, Settings: s.Settings.Shown()}
	return Page{Title: "Settings", Section: "settings", Fragments: []Fragment{{"settings", settingsBody(view)}}}, err
}

// pingFor is how long answers of services are collected: each process answers at once.
const pingFor = 300 * time.Millisecond

// runningServices asks all services of NATS who they are.
func runningServices(conn *nats.Conn) ([]runningService, error) {
	inbox := conn.NewInbox()
	answers, err := conn.SubscribeSync(inbox)
	if err != nil {
		return nil, err
	}
	err = conn.PublishRequest("$SRV.PING", inbox, nil)
	found := map[string][]string{}
	for until := time.Now().Add(pingFor); err == nil; {
		var answer *nats.Msg
		if answer, err = answers.NextMsg(time.Until(until)); err != nil {
			break
		}
		var ping micro.Ping
		if json.Unmarshal(answer.Data, &ping) == nil && strings.HasPrefix(ping.Name, "rollcall-") {
			found[ping.Name] = append(found[ping.Name], ping.Version)
		}
	}
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, nats.ErrNoResponders) {
		err = nil
	}
	services := make([]runningService, 0, len(found))
	for name, versions := range found {
		one := runningService{Name: strings.TrimPrefix(name, "rollcall-"), Processes: len(versions)}
		slices.Sort(versions)
		one.Versions = strings.Join(slices.Compact(versions), ", ")
		services = append(services, one)
	}
	slices.SortFunc(services, func(one, other runningService) int { return strings.Compare(one.Name, other.Name) })
	return services, errors.Join(err, answers.Unsubscribe())
}
