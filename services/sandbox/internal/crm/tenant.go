package crm

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"sync"
)

// MaxRecords is how many records a tenant may hold.
const MaxRecords = 2_000_000

// Tenant holds one customer's records. It may be used by many goroutines at once.
type Tenant struct {
	name string

	mu      sync.RWMutex
	token   string // "" asks for none
	records map[string]*Stored
	byID    map[string]string // the CRM's own ids to external ids
	live    int
	counts  counts // of all records, also of the deleted ones
	changes uint64
}

// Stored is a record as the CRM keeps it.
type Stored struct {
	ID string `json:"id"`
	Record
	counts
	Deleted bool `json:"deleted"`
}

func newTenant(name string) *Tenant {
	return &Tenant{name: name, records: make(map[string]*Stored), byID: make(map[string]string)}
}

// put stores a record unless a newer version is stored. Errors: *Refusal.
func (t *Tenant) put(record Record) (id string, created bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	stored := t.records[record.ExternalID]
	switch {
	case stored == nil && len(t.records) >= MaxRecords:
		return "", false, &Refusal{Status: 422, Code: "full", Message: "the tenant holds no more records"}
	case stored == nil:
		stored = &Stored{ID: recordID(t.name, record.ExternalID), Deleted: true}
		t.records[record.ExternalID] = stored
		t.byID[stored.ID] = record.ExternalID
		created = true
	case !stored.Deleted && record.SourceUpdatedAt.Before(stored.SourceUpdatedAt): // a write of a deleted record revives it
		t.count(stored, counts{Stale: 1})
		return "", false, &Refusal{Status: 409, Code: "stale", Message: "a newer version is stored"}
	}
	record = record.over(stored.Record)
	written := counts{Writes: 1}
	if !stored.Deleted && record.same(stored.Record) { // a write of a deleted record is a change
		written.Unchanged = 1
	}
	if stored.Deleted {
		stored.Deleted = false
		t.live++
	}
	stored.Record = record
	t.count(stored, written)
	return stored.ID, created, nil
}

// Edit changes a record as the CRM's own people can. It is no write, and does not change source_updated_at. It reports
// whether there is such a record.
func (t *Tenant) Edit(externalID string, change func(*Record)) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	stored := t.records[externalID]
	if stored == nil || stored.Deleted {
		return false
	}
	change(&stored.Record)
	t.changes++
	return true
}

// remove marks a record deleted, by its external id or the CRM's own, and reports whether it was there.
func (t *Tenant) remove(id string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if externalID, found := t.byID[id]; found {
		id = externalID
	}
	stored := t.records[id]
	if stored == nil || stored.Deleted {
		return false
	}
	stored.Deleted = true
	t.live--
	t.changes++
	return true
}

// Find returns the record of an external id, and whether there is one that is not deleted.
func (t *Tenant) Find(externalID string) (Stored, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	stored := t.records[externalID]
	if stored == nil || stored.Deleted {
		return Stored{}, false
	}
	return *stored, true
}

// All yields every record, also the deleted ones, by external id. It holds the lock only for one record at a time.
func (t *Tenant) All() iter.Seq[Stored] {
	return func(yield func(Stored) bool) {
		t.mu.RLock()
		ids := slices.AppendSeq(make([]string, 0, len(t.records)), maps.Keys(t.records))
		t.mu.RUnlock()
		slices.Sort(ids) // outside of the lock: it takes long in a large tenant
		for _, id := range ids {
			t.mu.RLock()
			stored := *t.records[id] // a record is never removed, only marked
			t.mu.RUnlock()
			if !yield(stored) {
				return
			}
		}
	}
}

// Token returns the bearer token that requests must carry; "" asks for none.
func (t *Tenant) Token() string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.token
}

// SetToken sets the bearer token that requests must carry from now on; "" asks for none.
func (t *Tenant) SetToken(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token = token
	t.changes++
}

// counts are the writes of a record, or of all of a tenant's records, since the last reset of the report.
type counts struct {
	Writes    int `json:"writes"`          // writes that were stored
	Unchanged int `json:"unchangedWrites"` // of these, writes that changed nothing
	Stale     int `json:"staleWrites"`     // writes that were rejected because a newer version was stored
}

func (c counts) plus(d counts) counts {
	return counts{Writes: c.Writes + d.Writes, Unchanged: c.Unchanged + d.Unchanged, Stale: c.Stale + d.Stale}
}

func (c counts) possible() bool {
	return c.Unchanged >= 0 && c.Writes >= c.Unchanged && c.Stale >= 0
}

// count adds to the counts of a record and of the tenant.
func (t *Tenant) count(stored *Stored, came counts) {
	stored.counts = stored.plus(came)
	t.counts = t.counts.plus(came)
	t.changes++
}

// Writes are the writes of a tenant's records since the last reset.
type Writes struct {
	Records int `json:"records"` // not deleted
	counts
	MaxWritesPerRecord int           `json:"maxWritesPerRecord"`
	WrittenAgain       []RecordTimes `json:"writtenAgain"` // at most 100, the most often written
}

// RecordTimes says how often a record was written.
type RecordTimes struct {
	ExternalID string `json:"externalId"`
	Times      int    `json:"times"`
}

func (t *Tenant) report() Writes {
	t.mu.RLock()
	defer t.mu.RUnlock()
	report := Writes{Records: t.live, counts: t.counts, WrittenAgain: []RecordTimes{}}
	for externalID, stored := range t.records {
		report.MaxWritesPerRecord = max(report.MaxWritesPerRecord, stored.Writes)
		if stored.Writes > 1 {
			report.WrittenAgain = append(report.WrittenAgain, RecordTimes{ExternalID: externalID, Times: stored.Writes})
		}
	}
	slices.SortFunc(report.WrittenAgain, func(a, b RecordTimes) int {
		return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.ExternalID, b.ExternalID))
	})
	report.WrittenAgain = report.WrittenAgain[:min(100, len(report.WrittenAgain))]
	return report
}

func (t *Tenant) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.counts = counts{}
	t.changes++
	for _, stored := range t.records {
		stored.counts = counts{}
	}
}
