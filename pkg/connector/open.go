package connector

import (
	"time"

	"rollcall.dev/pkg/budget"
	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/rest"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vomo"
)

// longestRequest is the time limit of one request. It is less than half of the claim timeout, so that a worker whose
// lease is about to end sends nothing that could outlast it.
const longestRequest = 10 * time.Second

// Open returns a service's connector, for that many customers at once, from its settings. done closes the connections
// that it kept open.
func Open(s *service.Service, slots int) (c *Connector, done func()) {
	timeout := min(longestRequest, s.Config.ClaimTimeout*2/5)
	private := destination.PrivateAccess{All: s.Config.AllowPrivateDestinations, Hosts: s.Config.PrivateHosts()}
	transport := rest.NewTransport(private)
	vomoTransport := vomo.NewTransport(slots)
	return &Connector{
			Store: s.Store, Vault: s.Vault, Logger: s.Logger, VomoBaseURL: s.Config.VomoBaseURL, VomoTransport: vomoTransport,
			Timeout: timeout, Breakers: destination.NewBreakers(destination.BreakersConfig{}),
			Hosts: destination.NewHosts(destination.HostsConfig{}), Concurrency: s.Config.DestinationSlots,
			Limits:      budget.Limits{PerSecond: s.Config.VomoRequestsPerSecond, PerMinute: s.Config.VomoRequestsPerMinute},
			IncludeUser: s.Config.EventsIncludeUser,
			RetryCaps:   store.RetryCaps{Attempts: s.Config.DLQRetryAttempts, Age: s.Config.DLQRetryAge},
			Opener: &destination.Opener{Factories: map[string]destination.Factory{
				"rest": rest.Factory(rest.Config{Transport: transport, Timeout: timeout}, private),
			}},
		}, func() {
			transport.CloseIdleConnections()
			vomoTransport.CloseIdleConnections()
		}
}
