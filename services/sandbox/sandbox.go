package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/services/sandbox/internal/control"
	"rollcall.dev/services/sandbox/internal/crm"
	"rollcall.dev/services/sandbox/internal/faults"
	"rollcall.dev/services/sandbox/internal/life"
	"rollcall.dev/services/sandbox/internal/organisation"
	"rollcall.dev/services/sandbox/internal/shift"
	"rollcall.dev/services/sandbox/internal/state"
	"rollcall.dev/services/sandbox/internal/traffic"
	"rollcall.dev/services/sandbox/internal/vomoapi"
)

// clock is the real time, or a test's. What VOMO and the CRM live by is a shift.Clock on top of it.
type clock struct {
	nowFunc  func() time.Time
	waitFunc func(context.Context, time.Duration) error
}

func realClock() clock { return clock{nowFunc: time.Now, waitFunc: wait} }

// wait returns after a time, or early, with an error, when the context ends.
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

// assembled is a sandbox that is ready to serve.
type assembled struct {
	handler http.Handler
	keeper  *state.Keeper // nil without a state file
}

// assemble puts VOMO, the CRM and the control API together, with what the state file holds.
func assemble(opts options, clock clock, log *zap.Logger) (assembled, error) {
	organisations, store := organisation.NewDirectory(), crm.NewStore()
	var keeper *state.Keeper
	if opts.stateFile != "" {
		keeper = &state.Keeper{
			Path: opts.stateFile, Organisations: organisations, Records: store,
			NowFunc: clock.nowFunc, WaitFunc: clock.waitFunc, Log: log,
		}
		if err := keeper.Load(); err != nil {
			return assembled{}, err
		}
	}
	if err := addOrganisations(organisations, opts.organisations, log); err != nil {
		return assembled{}, err
	}
	handler, err := newHandler(opts, organisations, store, clock)
	if err != nil {
		return assembled{}, err
	}
	return assembled{handler: logged(log, handler), keeper: keeper}, nil
}

// addOrganisations adds those that are not there from the state file.
func addOrganisations(organisations *organisation.Directory, configs []organisation.Config, log *zap.Logger) error {
	kept := organisations.All()
	for _, config := range configs {
		if slices.ContainsFunc(kept, func(o *organisation.Organisation) bool { return o.Config().Name == config.Name }) {
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

func newHandler(opts options, organisations *organisation.Directory, store *crm.Store, clock clock) (http.Handler, error) {
	shifted := shift.New(clock.nowFunc)
	rules := faults.NewSet(opts.seed, clock.nowFunc)
	if opts.latency > 0 {
		for _, target := range []string{faults.VOMO, faults.CRM} {
			opts.faults = append(opts.faults, faults.Rule{Target: target, Kind: faults.Latency, DelayMs: int(max(1, opts.latency.Milliseconds()))})
		}
	}
	for _, rule := range opts.faults {
		if _, err := rules.Add(rule); err != nil {
			return nil, fmt.Errorf("set fault: %w", err)
		}
	}
	gate := func(target string, refuse func(http.ResponseWriter, int, string), brokenBody string) *faults.Gate {
		return &faults.Gate{
			Set: rules, Target: target, NowFunc: shifted.Now, WaitFunc: clock.waitFunc, RefuseFunc: refuse, BrokenBody: brokenBody,
		}
	}
	lives := life.New(shifted.Now)
	for _, script := range opts.lives {
		if organisations.Named(script.org) == nil {
			return nil, fmt.Errorf("set life: no organisation %s", script.org)
		}
		if err := lives.Set(script.org, script.script); err != nil {
			return nil, fmt.Errorf("set life of %s: %w", script.org, err)
		}
	}
	vomo := &vomoapi.API{
		Organisations: organisations, Ledger: traffic.NewLedger(clock.nowFunc), NowFunc: shifted.Now, PerPage: opts.perPage,
		Gate:  gate(faults.VOMO, vomoapi.Refuse, vomoapi.BrokenBody),
		Lives: lives,
	}
	records := &crm.API{
		Store: store, Ledger: traffic.NewLedger(clock.nowFunc), Gate: gate(faults.CRM, crm.Refuse, crm.BrokenBody),
	}
	steering := &control.API{
		Seed: opts.seed, Organisations: organisations, Records: store, Faults: rules, Lives: lives,
		VOMOTraffic: vomo.Ledger, CRMTraffic: records.Ledger, Clock: shifted,
	}
	strangers, mux := http.NewServeMux(), http.NewServeMux()
	vomo.Routes(strangers)
	records.Routes(strangers)
	for _, path := range []string{"/vomo/", "/crm/"} {
		mux.Handle(path, shift.Dated(shifted, strangers))
	}
	steering.Routes(mux)
	for _, path := range []string{"/livez", "/readyz", "/healthz"} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	}
	return mux, nil
}
