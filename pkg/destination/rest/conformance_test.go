package rest_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"sync"
	"testing"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/destination/destinationtest"
	"rollcall.dev/pkg/destination/rest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	destinationtest.Run(t, func(t *testing.T) destinationtest.System {
		t.Helper()
		s := &system{records: map[string]*stored{}}
		server := httptest.NewServer(s)
		t.Cleanup(server.Close)
		s.dest = connect(t, server.URL, rest.Config{})
		return s
	})
}

// system is a system that speaks the REST contract in its simplest form.
type system struct {
	dest *rest.Destination

	mu      sync.Mutex
	records map[string]*stored // by external id
	failure destinationtest.Failure
}

type stored struct {
	deleted  bool
	writes   int
	lastName string
}

func (s *system) Destination() destination.Destination { return s.dest }

func (s *system) Holds(externalID string) (held bool, writes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.records[externalID]
	if one == nil {
		return false, 0
	}
	return !one.deleted, one.writes
}

func (s *system) LastName(externalID string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records[externalID].lastName
}

func (s *system) Fail(failure destinationtest.Failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failure = failure
}

func (s *system) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if status := map[destinationtest.Failure]int{
		destinationtest.FailureRejects: http.StatusUnprocessableEntity, destinationtest.FailureUnauthorized: http.StatusUnauthorized,
		destinationtest.FailureForbidden: http.StatusForbidden, destinationtest.FailureThrottled: http.StatusTooManyRequests,
		destinationtest.FailureUnavailable: http.StatusServiceUnavailable,
	}[s.failure]; status != 0 {
		w.WriteHeader(status)
		return
	}
	if r.Method == http.MethodDelete {
		one := s.records[strings.TrimPrefix(path.Base(r.URL.Path), "own-of-")]
		if one == nil || one.deleted {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		one.deleted = true
		w.WriteHeader(http.StatusNoContent)
		return
	}
	var record destination.Record
	if err := json.NewDecoder(r.Body).Decode(&record); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	one := s.records[record.ExternalID]
	if one == nil {
		one = &stored{}
		s.records[record.ExternalID] = one
	}
	one.deleted = false
	one.writes++
	if record.LastName != nil { // it owns the field otherwise
		one.lastName = *record.LastName
	}
	_, _ = io.WriteString(w, `{"id":"own-of-`+record.ExternalID+`"}`)
}
