package main

import (
	"context"
	"fmt"
	"net/http"

	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/service"
	"rollcall.dev/services/console/internal/access"
	"rollcall.dev/services/console/internal/httpapi"
	"rollcall.dev/services/console/internal/pages"
)

// run serves until ctx ends.
func run(ctx context.Context, s *service.Service) error {
	if err := serve(s); err != nil {
		return err
	}
	s.Ready()
	<-ctx.Done()
	return nil
}

// serve adds the pages to HTTP_ADDR, and the endpoints to NATS.
func serve(s *service.Service) error {
	console, err := newConsole(s)
	if err != nil {
		return err
	}
	s.HTTP.Handle("/", console)
	return (&access.API{Service: s}).Serve()
}

// newConsole returns everything that the console serves, behind the check of who asks.
func newConsole(s *service.Service) (http.Handler, error) {
	limits, err := dailyreport.ParseLimits(s.Config.GivingReportLimits)
	if err != nil {
		return nil, fmt.Errorf("read GIVING_REPORT_LIMITS: %w", err)
	}
	floors, err := dailyreport.ParseFloors(s.Config.GivingAlertFloors)
	if err != nil {
		return nil, fmt.Errorf("read GIVING_ALERT_FLOORS: %w", err)
	}
	site := &pages.Site{
		Store: s.Store, Conn: s.Conn, JetStream: s.JetStream, Settings: s.Config, Limits: limits, Floors: floors, Logger: s.Logger,
	}
	guard, err := access.New(access.Options{Store: s.Store, Logger: s.Logger, Settings: s.Config, Page: site})
	if err != nil {
		return nil, fmt.Errorf("set up the sign-in: %w", err)
	}
	site.Authenticate = guard.Authenticate
	mux := http.NewServeMux() // whose requests have a principal
	guard.Routes(mux)
	mux.Handle(httpapi.Prefix+"/", httpapi.New(httpapi.Deps{Conn: s.Conn, Logger: s.Logger, Store: s.Store, Vault: s.Vault, KeyAge: s.Config.IdempotencyKeyAge}))
	mux.Handle("/", site.Handler())
	return guard.Middleware(mux), nil
}
