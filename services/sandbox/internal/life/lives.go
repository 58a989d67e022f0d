package life

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"rollcall.dev/services/sandbox/internal/organisation"
	"rollcall.dev/services/sandbox/internal/person"
)

// maxEvents is how many events a report names; the counts go on.
const maxEvents = 20_000

// Lives holds the scripts of the organisations. It may be used by many goroutines at once.
type Lives struct {
	nowFunc func() time.Time

	mu    sync.Mutex
	byOrg map[string]*running
}

// running is a script that was set, and what came of it.
type running struct {
	script Script

	mu     sync.Mutex // held over a list and what comes after it: the next one sees all of that or is before it
	read   map[int64]bool
	report Report
}

// Report is what a script has done.
type Report struct {
	Lists   int     `json:"lists"` // list requests since it was set
	Added   int     `json:"added"`
	Edited  int     `json:"edited"`
	Deleted int     `json:"deleted"`
	Pending bool    `json:"pending"` // something may still come
	Events  []Event `json:"events"`  // in their order, the first 20,000
}

// Event is one thing that happened to one user.
type Event struct {
	After int    `json:"after"` // list requests
	What  string `json:"what"`  // add, edit or delete
	ID    int64  `json:"id"`
}

// New returns lives without a script.
func New(nowFunc func() time.Time) *Lives {
	return &Lives{nowFunc: nowFunc, byOrg: make(map[string]*running)}
}

// Set puts an organisation's script in place of the one before, and its counts begin at 0. Errors: ErrInvalid.
func (l *Lives) Set(org string, script Script) error {
	if err := script.check(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.byOrg[org] = &running{script: script, read: make(map[int64]bool), report: Report{Events: []Event{}}}
	return nil
}

// Clear ends an organisation's script and reports whether it had one.
func (l *Lives) Clear(org string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	had := l.byOrg[org] != nil
	delete(l.byOrg, org)
	return had
}

// Report tells what an organisation's script has done, and whether it has one.
func (l *Lives) Report(org string) (Report, bool) {
	r := l.of(org)
	if r == nil {
		return Report{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	report := r.report
	report.Events = slices.Clone(report.Events)
	report.Pending = slices.ContainsFunc(r.script.Steps, func(s Step) bool { return s.pendingAfter(report.Lists) })
	return report, true
}

// Read is the organisation's Page, followed by whatever the script has for this list request.
func (l *Lives) Read(o *organisation.Organisation, filter organisation.Filter, offset, limit int) ([]person.Person, int) {
	r := l.of(o.Config().Name)
	if r == nil {
		return o.Page(filter, offset, limit)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	users, total := o.Page(filter, offset, limit)
	r.report.Lists++
	for _, user := range users {
		r.read[user.ID] = true
	}
	for i, step := range r.script.Steps {
		if time, due := step.dueAfter(r.report.Lists); due {
			dice := rand.New(rand.NewPCG(r.script.Seed, uint64(i)<<32|uint64(time))) //nolint:gosec // repeatable on purpose
			r.do(o, step, dice, l.nowFunc())
		}
	}
	return users, total
}

func (l *Lives) of(org string) *running {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byOrg[org]
}
