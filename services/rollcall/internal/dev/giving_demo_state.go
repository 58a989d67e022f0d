package dev

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
)

// virtuousOrg is where the sandbox's control API has the organisation of the demonstration.
const virtuousOrg = "/control/virtuous/orgs/" + demoOrg

// sandboxKey returns the key of an organisation in the sandbox's Virtuous.
func sandboxKey(org string) string { return "v_sandbox-" + org + "-key" }

// virtuousTransaction is a transaction that the sandbox's Virtuous has accepted.
type virtuousTransaction struct {
	ID     string `json:"id"`
	State  string `json:"state"`
	GiftID int64  `json:"giftId"`
}

// virtuousLedger counts what the sandbox's Virtuous has.
type virtuousLedger struct {
	Transactions struct {
		Bundled int `json:"bundled"`
	} `json:"transactions"`
	Imports struct {
		Waiting int `json:"waiting"`
	} `json:"imports"`
	Events struct {
		Lost    int `json:"lost"`
		Waiting int `json:"waiting"`
	} `json:"events"`
}

// listOf returns all records of one of the sandbox's lists, with the fields of T.
func listOf[T any](ctx context.Context, from *sandbox, path string) ([]T, error) {
	var all []T
	err := from.do(ctx, http.MethodGet, path, nil, func(body io.Reader) error {
		for lines := json.NewDecoder(body); lines.More(); {
			var one T
			if err := lines.Decode(&one); err != nil {
				return err
			}
			all = append(all, one)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list %s of the sandbox: %w", path, err)
	}
	return all, nil
}

func (s *sandbox) put(ctx context.Context, path string, what any) error {
	return s.send(ctx, http.MethodPut, path, what)
}

func (s *sandbox) post(ctx context.Context, path string, what any) error {
	return s.send(ctx, http.MethodPost, path, what)
}

func (s *sandbox) send(ctx context.Context, method, path string, what any) error {
	body, err := json.Marshal(what)
	if err != nil {
		return fmt.Errorf("encode a request: %w", err)
	}
	if err := s.do(ctx, method, path, bytes.NewReader(body), func(io.Reader) error { return nil }); err != nil {
		return fmt.Errorf("change the sandbox: %w", err)
	}
	return nil
}

// pass lets time pass on both clocks. The sandbox's is first, so that what happens there is never in our future.
func (d *givingDemo) pass(ctx context.Context, by time.Duration) error {
	if err := d.sandbox.put(ctx, "/control/clock", map[string]any{"advanceSeconds": by.Seconds()}); err != nil {
		return err
	}
	d.ahead += by
	return d.setClock(ctx, d.ahead)
}

// reconcile requests a category, as `rollcall reconcile now` does.
func (d *givingDemo) reconcile(ctx context.Context, category string) error {
	payload, err := json.Marshal(map[string]any{"customerId": demoOrg})
	if err != nil {
		return fmt.Errorf("encode a request: %w", err)
	}
	return d.publish(ctx, bus.SubjectReconcile(category, demoOrg), payload)
}

// await waits until something holds. A service that is busy may not answer for a while, so an error counts only if it is the last one.
func (d *givingDemo) await(ctx context.Context, what string, holds func(ctx context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, stepWithin, errNotTrue)
	defer cancel()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		ok, err := holds(ctx)
		if ok && err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("%w: %s; see the logs in %s", context.Cause(ctx), what, d.folder), err)
		}
	}
}

// awaitStates waits until the donations are in these states.
func (d *givingDemo) awaitStates(ctx context.Context, wanted map[string]int) error {
	return d.await(ctx, fmt.Sprintf("donations are %v", wanted), func(ctx context.Context) (bool, error) {
		donations, err := d.donations(ctx)
		found := map[string]int{}
		for _, one := range donations {
			found[one.Status]++
		}
		return maps.Equal(found, wanted), err
	})
}

// donations returns all donations. There are fewer than a page has.
func (d *givingDemo) donations(ctx context.Context) ([]operatorapi.DonationShown, error) {
	var reply operatorapi.DonationsReply
	err := ask(ctx, d.conn, service.APISubject("donations", "ls"), operatorapi.DonationsQuestion{CustomerID: demoOrg}, &reply)
	return reply.Donations, err
}

func (d *givingDemo) donation(ctx context.Context, id string) (operatorapi.DonationShown, error) {
	var shown operatorapi.DonationShown
	err := ask(ctx, d.conn, service.APISubject("donations", "show"), operatorapi.DonationQuestion{CustomerID: demoOrg, PlatformDonationID: id}, &shown)
	return shown, err
}

// compareGiving returns the differences between the sandbox's transactions and our donations.
func compareGiving(transactions []virtuousTransaction, donations []operatorapi.DonationShown) []string {
	var differences []string
	gifts := map[string]int64{}
	for _, one := range transactions {
		if _, again := gifts[one.ID]; again {
			differences = append(differences, one.ID+" has two transactions")
		}
		gifts[one.ID] = one.GiftID
	}
	for _, one := range donations {
		gift, known := gifts[one.PlatformDonationID]
		delete(gifts, one.PlatformDonationID)
		switch {
		case !known:
			differences = append(differences, one.PlatformDonationID+" is not at Virtuous")
		case gift == 0 && one.VirtuousGiftID != nil, gift != 0 && (one.VirtuousGiftID == nil || *one.VirtuousGiftID != gift):
			differences = append(differences, one.PlatformDonationID+" has another gift at Virtuous")
		case gift != 0 && one.Status != "confirmed":
			differences = append(differences, one.PlatformDonationID+" is "+one.Status+", and has a gift at Virtuous")
		}
	}
	for id := range gifts {
		differences = append(differences, id+" is at Virtuous only")
	}
	return differences
}
