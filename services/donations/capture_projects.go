package main

import (
	"context"
	"errors"
	"time"

	"rollcall.dev/pkg/connector"
	"rollcall.dev/pkg/giving"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/virtuous"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// loadTimeout limits how long a message waits for the list of projects.
const loadTimeout = 20 * time.Second

// checkProjects notes in one whether its projects are checked, and returns which of them a donation may not have. A donation that is stored
// already stays as it is, whatever became of its projects.
func (c *capturer) checkProjects(
	ctx context.Context, donation giving.Donation, one *store.CapturedDonation,
) (rollcallv1.FieldErrors, error) {
	one.ProjectsChecked = true
	errs := rollcallv1.FieldErrors{}
	if c.projects.isOff() {
		return errs, nil
	}
	codes := make([]string, len(donation.Designations))
	for i, designation := range donation.Designations {
		codes[i] = designation.Code
	}
	result, err := c.projects.check(ctx, one.Customer, codes, false, func(ctx context.Context) (readProjects, bool, error) {
		return c.openProjects(ctx, one.Customer)
	})
	switch {
	case err != nil || result.passed():
		return errs, err
	case result.isUnknown: // the donation is checked before its transaction is sent
		one.ProjectsChecked = false
		return errs, nil
	}
	known, err := c.store.HasDonation(ctx, one.Customer, one.PlatformID, one.ContentHash)
	if err != nil || known {
		return errs, err
	}
	if !c.projects.isStrict() {
		c.projects.warn(one.Customer, one.PlatformID, result)
		return errs, nil
	}
	c.metrics.project("rejected")
	for _, field := range fieldsOf(result.missing) {
		errs.Add(field, "is the code of no active project in Virtuous: correct it, or have the project added or activated")
	}
	return errs, nil
}

// openProjects opens Virtuous, unless giving is switched off, paused or held.
func (c *capturer) openProjects(ctx context.Context, id string) (read readProjects, mayRead bool, err error) {
	customer, err := c.store.Customer(ctx, id)
	if err != nil || customer.PausedAt != nil {
		return nil, false, err
	}
	config, err := c.store.VirtuousConfig(ctx, id)
	if err != nil || !config.Enabled {
		return nil, false, err
	}
	now, err := c.store.Now(ctx)
	if err != nil {
		return nil, false, err
	}
	held, err := c.store.GivingHoldOf(ctx, config.Customer)
	if err == nil && held.Until.After(now) || err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, false, err
	}
	client, err := c.virtuous.Open(ctx, config, nil, jobCapture)
	if errors.Is(err, connector.ErrNoCredential) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return func(ctx context.Context) ([]virtuous.Project, error) {
		ctx, cancel := context.WithTimeout(ctx, loadTimeout)
		defer cancel()
		return client.Projects(ctx)
	}, true, nil
}
