package crm

import (
	"errors"
	"slices"
	"strings"
)

// ErrDamaged is returned by Tenant.Restore for a record that cannot have been stored.
var ErrDamaged = errors.New("record is damaged")

// All returns the tenants by name.
func (s *Store) All() []*Tenant {
	tenants := make([]*Tenant, 0)
	for _, tenant := range s.all() {
		tenants = append(tenants, tenant)
	}
	slices.SortFunc(tenants, func(a, b *Tenant) int { return strings.Compare(a.name, b.name) })
	return tenants
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

// Name returns the tenant's name, which is in the path of its requests.
func (t *Tenant) Name() string { return t.name }

// Token returns the bearer token that requests must carry; "" asks for none.
func (t *Tenant) Token() string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.token
}

// Restore takes a record back as it was saved. Errors: ErrDamaged.
func (t *Tenant) Restore(record Stored) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if record.ID == "" || record.ExternalID == "" || !record.possible() || t.records[record.ExternalID] != nil {
		return ErrDamaged
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
