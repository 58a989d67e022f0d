package pages

import (
	"context"
	"net/http"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/report"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
	"rollcall.dev/services/console/internal/access"
)

// pollNow requests a poll, whatever the schedule says.
func (s *Site) pollNow(r *http.Request, who access.Principal) (string, error) {
	customer := r.PathValue("customer")
	return s.requestRun(r.Context(), who, customer, bus.SubjectPoll(customer), &rollcallv1.PollRequest{CustomerId: customer}, "poll")
}

// reconcileNow requests the daily reconciliation.
func (s *Site) reconcileNow(r *http.Request, who access.Principal) (string, error) {
	customer := r.PathValue("customer")
	return s.requestRun(r.Context(), who, customer, bus.SubjectReconcile(store.KindUserDaily, customer), &rollcallv1.ReconcileRequest{CustomerId: customer},
		"reconciliation")
}

// requestRun requests a run, unless nothing may be read for the customer.
func (s *Site) requestRun(ctx context.Context, who access.Principal, customer, subject string, request proto.Message, what string) (string, error) {
	status, err := report.StatusUnder(ctx, s.Store, customer, s.installation())
	if err != nil {
		return "", err
	}
	if err := operatorclient.CheckRunnable(status); err != nil {
		return saying(customerPath(customer), "not-runnable"), nil //nolint:nilerr // the page that follows says why
	}
	isRequested, err := s.client(who).PublishRun(ctx, subject, request, waitFor)
	if isRequested {
		return saying(customerPath(customer), what+"-waits"), err
	}
	return saying(customerPath(customer), what+"-requested"), err
}

// waitFor waits, at most until ctx ends.
func waitFor(ctx context.Context, wait time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return nil
	}
}

const (
	// tokenTested is for how long the page waits until a new token was tested with VOMO. The test goes on after it.
	tokenTested = 8 * time.Second
	askAgain    = 250 * time.Millisecond
)

// replaceToken gives the customer a new VOMO token. It is sealed here, so no stream has it in the clear, and it is tested before it replaces the
// old one.
func (s *Site) replaceToken(r *http.Request, who access.Principal) (string, error) {
	customer, token := r.PathValue("customer"), strings.TrimSpace(r.PostFormValue("token"))
	if _, err := s.Store.Customer(r.Context(), customer); err != nil {
		return "", err
	}
	if token == "" {
		return saying(customerPath(customer), "token-missing"), nil
	}
	client := s.client(who)
	request := &rollcallv1.OnboardingRequest{CustomerId: customer, VomoToken: token}
	if request.Validate(customer, false).Err() != nil {
		return saying(customerPath(customer), "token-rejected"), nil
	}
	if err := client.Seal(r.Context(), request); err != nil {
		return "", err
	}
	published, err := client.PublishRequest(r.Context(), customer, bus.SubjectOnboard(customer), request)
	if err != nil {
		return "", err
	}
	waiting, cancel := context.WithTimeout(r.Context(), tokenTested)
	defer cancel()
	for {
		settled, err := operatorclient.Ask[operatorapi.RequestQuestion, operatorapi.Request](waiting, client, "requests", "get",
			operatorapi.RequestQuestion{Sequence: published.Sequence})
		if err == nil && settled.State != string(store.RequestPending) {
			return saying(customerPath(customer), "token-"+settled.State), nil
		}
		if err != nil && !operatorclient.IsUnknown(err) && waiting.Err() == nil {
			return "", err
		}
		if waitFor(waiting, askAgain) != nil {
			return saying(customerPath(customer), "token-pending"), nil
		}
	}
}
