package cli

import (
	"context"
	"fmt"

	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// replaceToken gives a known customer a new VOMO token and waits until it was tested: the request that `rollcall
// onboard` publishes without settings, where settings are changed.
func (a *app) replaceToken(ctx context.Context, customer, file string) error {
	token, err := a.secretFrom(ctx, file)
	if err != nil {
		return err
	}
	request := &rollcallv1.OnboardingRequest{CustomerId: customer, VomoToken: token}
	if errs := request.Validate(customer, false); len(errs) > 0 {
		return usage("this request would be refused:%s", fieldErrors(errs))
	}
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	if err := a.mayPublish(ctx, on, request, false); err != nil {
		return err
	}
	taken, err := a.publishRequest(ctx, on, request, false)
	if err != nil {
		return err
	}
	settled, err := a.settled(ctx, on, taken)
	if err != nil {
		return err
	}
	if a.json {
		if err := a.document(onboardedDocument{published: taken, Request: &settled}); err != nil {
			return err
		}
	}
	switch store.RequestState(settled.State) {
	case store.RequestRejected:
		return fmt.Errorf("nothing was changed:%s", fieldErrors(settled.Errors))
	case store.RequestDuplicate:
		a.progressLinef("%s: that VOMO token was in force already", customer)
		return nil
	case store.RequestPending, store.RequestApplied, store.RequestSuperseded:
	}
	if err := refusal(customer, settled); err != nil {
		return err
	}
	a.progressLinef("%s: VOMO token replaced; all settings stay", customer)
	return nil
}
