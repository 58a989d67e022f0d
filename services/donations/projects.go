package main

import (
	"context"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
)

// reloadEvery is how often an unknown code has a customer's list of projects loaded at most.
const reloadEvery = time.Minute

// maxNamed is how many designations an error names at most.
const maxNamed = 20

// projects checks whether designations name active projects of the customer. Its list is kept at any age: only a code that is not in the
// list has it loaded again.
type projects struct {
	store   *store.Store
	logger  *zap.Logger
	metrics *metrics
	mode    string // config.ProjectCheckRefuse, …
	lately  lately
}

func (p *projects) isOff() bool    { return p.mode == config.ProjectCheckOff }
func (p *projects) isStrict() bool { return p.mode == config.ProjectCheckRefuse }

// readProjects reads the list from Virtuous.
type readProjects func(ctx context.Context) ([]virtuous.Project, error)

// openProjects returns what reads the list; mayRead is false if nothing may be requested now.
type openProjects func(ctx context.Context) (read readProjects, mayRead bool, err error)

// checked is what is known of the projects of a donation.
type checked struct {
	missing   []int // the places of designations whose codes no active project has
	isUnknown bool  // there is no list, it is being loaded, or it could not be
	cause     error // why it could not be loaded; nil: it was not tried
}

func (c checked) passed() bool { return !c.isUnknown && len(c.missing) == 0 }

// check compares codes with the list, and loads it if a code is not in it. loadFirst says that it loads the first list, too.
func (p *projects) check(ctx context.Context, customer string, codes []string, loadFirst bool, open openProjects) (checked, error) {
	wanted := make([]string, len(codes))
	for i, code := range codes {
		wanted[i] = lowered(code)
	}
	if p.lately.has(time.Now(), customer, wanted) {
		return checked{}, nil
	}
	found, err := p.store.MissingProjects(ctx, customer, wanted, reloadEvery)
	if err != nil {
		return checked{}, err
	}
	if len(found.Codes) == 0 {
		p.lately.add(time.Now(), customer, wanted)
		return checked{}, nil
	}
	var result checked
	if found.IsKnown || loadFirst {
		if result.cause, err = p.reload(ctx, customer, open); err != nil {
			return checked{}, err
		}
		if found, err = p.store.MissingProjects(ctx, customer, wanted, reloadEvery); err != nil {
			return checked{}, err
		}
	}
	missing := make(map[string]bool, len(found.Codes))
	for _, code := range found.Codes {
		missing[code] = true
	}
	if len(missing) > 0 && !found.IsCurrent {
		result.isUnknown = true // the code may be that of a new project
		return result, nil
	}
	for i, code := range wanted {
		if missing[code] {
			result.missing = append(result.missing, i)
		}
	}
	return result, nil
}

// reload loads the list, unless it was asked for lately. cause is why it could not be read.
func (p *projects) reload(ctx context.Context, customer string, open openProjects) (cause, err error) {
	read, mayRead, err := open(ctx)
	if err != nil || !mayRead {
		return nil, err
	}
	at, asked, err := p.store.AskForProjects(ctx, customer, reloadEvery)
	if err != nil || !asked {
		return nil, err
	}
	list, cause := read(ctx)
	if cause != nil {
		p.logger.Warn("projects not loaded", zap.String("customer", customer), zap.Error(cause))
		return cause, nil
	}
	active := make(map[string]bool, len(list))
	for _, project := range list {
		if code := lowered(project.Code); code != "" && !strings.ContainsRune(code, 0) { // no JSON of Postgres has a NUL
			active[code] = active[code] || project.IsActive
		}
	}
	p.logger.Info("projects loaded", zap.String("customer", customer), zap.Int("projects", len(list)))
	return nil, p.store.SaveProjects(ctx, customer, at, active)
}

// lowered returns a code as codes are compared. Virtuous may not distinguish letter cases, and a donation that it would accept must not be
// rejected here.
func lowered(code string) string { return strings.ToLower(strings.TrimSpace(code)) }

// fieldsOf returns the fields of the designations at these places.
func fieldsOf(places []int) []string {
	fields := make([]string, 0, min(len(places), maxNamed))
	for _, place := range places[:min(len(places), maxNamed)] {
		fields = append(fields, "designations["+strconv.Itoa(place)+"].code")
	}
	return fields
}

// warn logs and counts a donation that goes on although its projects did not pass.
func (p *projects) warn(customer, donation string, result checked) {
	p.metrics.project("warned")
	log := p.logger.With(zap.String("customer", customer), zap.String("donation", donation))
	if result.isUnknown {
		log.Warn("projects of a donation not checked: there is no list of them", zap.NamedError("fault", result.cause))
		return
	}
	log.Warn("designation to a project that is unknown or inactive", zap.Strings("fields", fieldsOf(result.missing)))
}
