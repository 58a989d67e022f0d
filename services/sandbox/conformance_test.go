package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/destinationtest"
	"rollcall.dev/pkg/destination/rest"
)

func TestCRMKeepsTheRESTContract(t *testing.T) {
	t.Parallel()
	destinationtest.Run(t, func(t *testing.T) destinationtest.System {
		t.Helper()
		s := newFixture(t)
		transport := rest.NewTransport(destination.PrivateAccess{All: true})
		t.Cleanup(transport.CloseIdleConnections)
		dest, err := rest.New(rest.Config{URL: s.url + "/crm/acme", Transport: transport})
		require.NoError(t, err)
		return &crmSystem{fixture: s, dest: dest}
	})
}

// crmSystem is the sandbox's CRM for the conformance tests.
type crmSystem struct {
	*fixture

	dest destination.Destination
}

func (s *crmSystem) Destination() destination.Destination { return s.dest }

func (s *crmSystem) Holds(externalID string) (held bool, writes int) {
	for _, one := range dump[stored](s.fixture, "/crm/acme/users") {
		if one.ExternalID == externalID {
			return !one.Deleted, one.Writes
		}
	}
	return false, 0
}

func (s *crmSystem) LastName(externalID string) string {
	for _, one := range dump[stored](s.fixture, "/crm/acme/users") {
		if one.ExternalID == externalID {
			return *one.LastName
		}
	}
	return ""
}

func (s *crmSystem) Fail(failure destinationtest.Failure) {
	s.control(http.MethodDelete, "/faults", "", http.StatusNoContent)
	rule := map[destinationtest.Failure]string{
		destinationtest.FailureRejects: `"status":422`, destinationtest.FailureUnauthorized: `"status":401`,
		destinationtest.FailureForbidden: `"status":403`, destinationtest.FailureThrottled: `"status":429`,
		destinationtest.FailureUnavailable: `"status":503`,
	}[failure]
	if rule != "" {
		s.control(http.MethodPost, "/faults", `{"target":"crm","kind":"status",`+rule+`}`, http.StatusCreated)
	}
}
