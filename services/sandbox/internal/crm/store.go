// Package crm stands in for a CRM that speaks the REST contract.
//
// It owns the tenants, their records and the HTTP side of them. It promises that a record is stored before its
// answer leaves, that an older version never replaces a newer one, and that nothing is ever taken out: a
// deletion is a mark. It holds everything in memory.
package crm

import (
	"maps"
	"sync"
)

// DefaultTenant is the tenant of requests that name none.
const DefaultTenant = "_default"

const maxTenants = 1_000

// Store holds the tenants. It may be used by many goroutines at once.
type Store struct {
	mu      sync.RWMutex
	tenants map[string]*Tenant
}

// NewStore returns a store without tenants.
func NewStore() *Store {
	return &Store{tenants: make(map[string]*Tenant)}
}

// Tenant returns the tenant of a name; an unknown one is new and empty. It returns nil when there are too
// many of them.
func (s *Store) Tenant(name string) *Tenant {
	if tenant := s.Known(name); tenant != nil {
		return tenant
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tenants[name] == nil {
		if len(s.tenants) >= maxTenants {
			return nil
		}
		s.tenants[name] = newTenant(name)
	}
	return s.tenants[name]
}

// Known returns the tenant of a name, or nil where nothing was ever sent to it.
func (s *Store) Known(name string) *Tenant {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.tenants[name]
}

// Reports returns what was written since the last reset, by tenant.
func (s *Store) Reports() map[string]Writes {
	reports := make(map[string]Writes)
	for name, tenant := range s.all() {
		reports[name] = tenant.report()
	}
	return reports
}

// Reset sets the counts of writes to zero and keeps the records.
func (s *Store) Reset() {
	for _, tenant := range s.all() {
		tenant.reset()
	}
}

func (s *Store) all() map[string]*Tenant {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return maps.Clone(s.tenants)
}
