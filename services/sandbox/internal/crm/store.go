// Package crm stands in for a CRM that speaks the REST contract.
//
// It owns the tenants, their records and their HTTP API. It promises that a record is stored before its answer leaves,
// that an older version never replaces a newer one, and that no record is removed: a deletion only marks it. It holds
// everything in memory.
package crm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// DefaultTenant is the tenant of requests that name none.
const DefaultTenant = "_default"

const maxTenants = 1_000

// ErrDamaged is returned by Store.Load for a record that cannot have been stored.
var ErrDamaged = errors.New("record is damaged")

var errTooManyTenants = errors.New("there are too many tenants")

// Store holds the tenants. It may be used by many goroutines at once.
type Store struct {
	mu      sync.RWMutex
	tenants map[string]*Tenant
}

// NewStore returns a store without tenants.
func NewStore() *Store {
	return &Store{tenants: make(map[string]*Tenant)}
}

// Tenant returns the tenant of a name, and adds it if it is new. It returns nil if there are too many tenants.
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

// Known returns the tenant of a name, or nil if no request was sent to it yet.
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

// Snapshot is what a tenant keeps over a restart.
type Snapshot struct {
	Name    string   `json:"name"`
	Token   string   `json:"token"`
	Records []Stored `json:"records"` // by external id
}

// Snapshot returns the tenants, by name.
func (s *Store) Snapshot() []Snapshot {
	snapshots := []Snapshot{}
	for _, tenant := range s.all() {
		snapshots = append(snapshots, Snapshot{Name: tenant.name, Token: tenant.Token(), Records: slices.Collect(tenant.All())})
	}
	slices.SortFunc(snapshots, func(a, b Snapshot) int { return strings.Compare(a.Name, b.Name) })
	return snapshots
}

// Load adds tenants as they were when the snapshots were made. Errors: ErrDamaged.
func (s *Store) Load(snapshots []Snapshot) error {
	for _, snapshot := range snapshots {
		tenant := s.Tenant(snapshot.Name)
		if tenant == nil {
			return errTooManyTenants
		}
		tenant.SetToken(snapshot.Token)
		for _, record := range snapshot.Records {
			if err := tenant.restore(record); err != nil {
				return err
			}
		}
	}
	return nil
}

// Changes returns a number that rises with every change to the tenants or their records.
func (s *Store) Changes() uint64 {
	tenants := s.all()
	changes := uint64(len(tenants))
	for _, tenant := range tenants {
		tenant.mu.RLock()
		changes += tenant.changes
		tenant.mu.RUnlock()
	}
	return changes
}

func (t *Tenant) restore(record Stored) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if record.ID == "" || record.ExternalID == "" || !record.possible() || t.records[record.ExternalID] != nil {
		return fmt.Errorf("record of %s: %w", t.name, ErrDamaged)
	}
	t.records[record.ExternalID] = &record
	t.byID[record.ID] = record.ExternalID
	t.counts = t.counts.plus(record.counts)
	if !record.Deleted {
		t.live++
	}
	t.changes++
	return nil
}
