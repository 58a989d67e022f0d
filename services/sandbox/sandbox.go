package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/services/sandbox/internal/clock"
	"rollcall.dev/services/sandbox/internal/control"
	"rollcall.dev/services/sandbox/internal/crm"
	"rollcall.dev/services/sandbox/internal/delivery"
	"rollcall.dev/services/sandbox/internal/faults"
	"rollcall.dev/services/sandbox/internal/gifts"
	"rollcall.dev/services/sandbox/internal/state"
	"rollcall.dev/services/sandbox/internal/traffic"
	"rollcall.dev/services/sandbox/internal/virtuous"
	"rollcall.dev/services/sandbox/internal/vomo"
)

// realTime is the machine's clock, or the clock of a test. VOMO, the CRM and Virtuous live by a clock.Clock that is based on it.
type realTime struct {
	nowFunc  func() time.Time
	waitFunc func(context.Context, time.Duration) error
}

func machineTime() realTime { return realTime{nowFunc: time.Now, waitFunc: wait} }

// wait returns after the delay, or with an error when the context ends before.
func wait(ctx context.Context, delay time.Duration) error {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait: %w", context.Cause(ctx))
	}
}

// sandbox is a sandbox that is ready to serve.
type sandbox struct {
	handler http.Handler
	sender  *delivery.Sender // of Virtuous' webhooks
	state   *state.File      // nil without a state file
}

// systems are the systems that the sandbox stands in for, and their clock.
type systems struct {
	organisations *vomo.Directory
	records       *crm.Store
	giving        *gifts.Directory
	clock         *clock.Clock
}

// newSandbox connects VOMO, the CRM, Virtuous and the control API, and loads the state file.
func newSandbox(opts options, clocks realTime, log *zap.Logger) (sandbox, error) {
	all := systems{
		organisations: vomo.NewDirectory(), records: crm.NewStore(), giving: gifts.NewDirectory(), clock: clock.New(clocks.nowFunc),
	}
	var file *state.File
	if opts.stateFile != "" {
		file = &state.File{
			Path: opts.stateFile, Organisations: all.organisations, Records: all.records, Virtuous: all.giving,
			NowFunc: clocks.nowFunc, WaitFunc: clocks.waitFunc, Log: log,
		}
		if err := file.Load(); err != nil {
			return sandbox{}, err
		}
	}
	if err := addOrganisations(all.organisations, opts.organisations, log); err != nil {
		return sandbox{}, err
	}
	if err := addGiving(all.giving, opts.giving, all.clock.Now(), log); err != nil {
		return sandbox{}, err
	}
	sender := &delivery.Sender{
		Organisations: all.giving, NowFunc: all.clock.Now, RealFunc: clocks.nowFunc, WaitFunc: clocks.waitFunc, Client: delivery.NewClient(),
	}
	handler, err := newHandler(opts, all, sender, clocks)
	if err != nil {
		return sandbox{}, err
	}
	return sandbox{handler: logged(log, handler), sender: sender, state: file}, nil
}

// addGiving adds the organisations of Virtuous of the flags, except those that the state file has.
func addGiving(giving *gifts.Directory, configs []gifts.Config, now time.Time, log *zap.Logger) error {
	for _, config := range configs {
		if giving.Named(config.Name) != nil {
			log.Info("organisation of Virtuous kept as the state file has it", zap.String("org", config.Name))
			continue
		}
		if _, err := giving.Add(config, now); err != nil {
			return fmt.Errorf("make organisation of Virtuous: %w", err)
		}
		log.Info("organisation of Virtuous made", zap.String("org", config.Name))
	}
	return nil
}

// addOrganisations adds the organisations of the flags, except those that the state file has.
func addOrganisations(organisations *vomo.Directory, configs []vomo.Config, log *zap.Logger) error {
	loaded := organisations.All()
	for _, config := range configs {
		if slices.ContainsFunc(loaded, func(o *vomo.Organisation) bool { return o.Config().Name == config.Name }) {
			log.Info("organisation kept as the state file has it", zap.String("org", config.Name))
			continue
		}
		if _, err := organisations.Add(config); err != nil {
			return fmt.Errorf("make organisation: %w", err)
		}
		log.Info("organisation made", zap.String("org", config.Name), zap.Int("users", config.Users))
	}
	return nil
}

// newHandler returns the handler of all paths. Faults and traffic counts use the real time: a test that moves the
// clock must not end a fault with it.
func newHandler(opts options, all systems, sender *delivery.Sender, clocks realTime) (http.Handler, error) {
	rules, err := newRules(opts, clocks)
	if err != nil {
		return nil, err
	}
	lives, err := newLives(opts, all)
	if err != nil {
		return nil, err
	}
	gate := func(target string, refuse func(http.ResponseWriter, faults.Rule), brokenBody string) *faults.Gate {
		return &faults.Gate{
			Set: rules, Target: target, NowFunc: all.clock.Now, WaitFunc: clocks.waitFunc, RefuseFunc: refuse, BrokenBody: brokenBody,
		}
	}
	coded := func(refuse func(http.ResponseWriter, int, string)) func(http.ResponseWriter, faults.Rule) {
		return func(w http.ResponseWriter, rule faults.Rule) { refuse(w, rule.Status, rule.Code) }
	}
	vomoAPI := &vomo.API{
		Organisations: all.organisations, Ledger: traffic.NewLedger(clocks.nowFunc), NowFunc: all.clock.Now, PerPage: opts.perPage,
		Gate:  gate(faults.VOMO, coded(vomo.Refuse), vomo.BrokenBody),
		Lives: lives,
	}
	crmAPI := &crm.API{
		Store: all.records, Ledger: traffic.NewLedger(clocks.nowFunc), Gate: gate(faults.CRM, coded(crm.Refuse), crm.BrokenBody),
	}
	virtuousAPI := &virtuous.API{
		Organisations: all.giving, Ledger: traffic.NewLedger(clocks.nowFunc), NowFunc: all.clock.Now, Quotas: virtuous.NewQuotas(),
		Gate: gate(faults.Virtuous, virtuous.Refuse, virtuous.BrokenBody),
	}
	controlAPI := &control.API{
		Seed: opts.seed, Organisations: all.organisations, Records: all.records, Faults: rules, Lives: lives,
		VOMOTraffic: vomoAPI.Ledger, CRMTraffic: crmAPI.Ledger, Clock: all.clock,
		Virtuous: control.Virtuous{Organisations: all.giving, Quotas: virtuousAPI.Quotas, Sender: sender, Traffic: virtuousAPI.Ledger},
	}
	external, mux := http.NewServeMux(), http.NewServeMux()
	vomoAPI.Routes(external)
	crmAPI.Routes(external)
	virtuousAPI.Routes(external)
	for _, path := range []string{"/vomo/", "/crm/", "/virtuous/"} {
		mux.Handle(path, clock.Dated(all.clock, external))
	}
	controlAPI.Routes(mux)
	for _, path := range []string{"/livez", "/readyz", "/healthz"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	}
	return mux, nil
}

// newLives returns the scripts of the flags.
func newLives(opts options, all systems) (*vomo.Lives, error) {
	lives := vomo.NewLives(all.clock.Now)
	for _, life := range opts.lives {
		if all.organisations.Named(life.org) == nil {
			return nil, fmt.Errorf("set life: no organisation %s", life.org)
		}
		if err := lives.Set(life.org, life.script); err != nil {
			return nil, fmt.Errorf("set life of %s: %w", life.org, err)
		}
	}
	return lives, nil
}

// newRules returns the faults of the flags. -latency is a fault of all systems.
func newRules(opts options, clocks realTime) (*faults.Set, error) {
	rules := faults.NewSet(opts.seed, clocks.nowFunc)
	if opts.latency > 0 {
		for _, target := range []string{faults.VOMO, faults.CRM, faults.Virtuous} {
			opts.faults = append(opts.faults, faults.Rule{Target: target, Kind: faults.Latency, DelayMs: int(max(1, opts.latency.Milliseconds()))})
		}
	}
	for _, rule := range opts.faults {
		if _, err := rules.Add(rule); err != nil {
			return nil, fmt.Errorf("set fault: %w", err)
		}
	}
	return rules, nil
}
