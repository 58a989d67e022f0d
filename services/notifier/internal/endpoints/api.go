package endpoints

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"rollcall.dev/pkg/destination"
	"rollcall.dev/pkg/event"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
	"rollcall.dev/services/notifier/internal/signedpost"
)

const (
	defaultRotation = 24 * time.Hour
	longestRotation = 30 * 24 * time.Hour
	maxTopics       = 100
	testTimeout     = 15 * time.Second
	testSlots       = 4
)

// API answers rollcall.api.endpoints.*.
type API struct {
	Sender  *Sender
	Private destination.PrivateAccess
	// EnsureRecords makes the consumer of events about records, before an endpoint that names one is added.
	EnsureRecords func(ctx context.Context) error
}

// Serve adds the endpoints of the API. wait waits for tests that are running.
func (a *API) Serve(ctx context.Context, s *service.Service) (wait func(), err error) {
	for _, add := range []func() error{
		func() error { return service.Answer(s, "endpoints", "ls", a.list) },
		func() error { return service.Answer(s, "endpoints", "show", a.show) },
		func() error { return service.Answer(s, "endpoints", "add", a.add) },
		func() error { return service.Answer(s, "endpoints", "set", a.change) },
		func() error { return service.Answer(s, "endpoints", "rm", a.remove) },
		func() error { return service.Answer(s, "endpoints", "rotate", a.rotate) },
		func() error { return service.Answer(s, "endpoints", "deliveries", a.deliveries) },
		func() error { return service.Answer(s, "endpoints", "replay", a.replay) },
	} {
		if err := add(); err != nil {
			return nil, err
		}
	}
	return service.AnswerSlowly(ctx, s, "endpoints", "test", service.Slow{Within: testTimeout, Slots: testSlots}, a.test)
}

func (a *API) list(ctx context.Context, question operatorapi.EndpointsQuestion) (operatorapi.EndpointsReply, error) {
	limit := pageSize(question.Limit)
	found, err := a.Sender.Store.Endpoints(ctx, question.After, limit+1)
	reply := operatorapi.EndpointsReply{Endpoints: []operatorapi.Endpoint{}}
	for _, one := range found[:min(len(found), int(limit))] {
		reply.Endpoints = append(reply.Endpoints, shown(one))
	}
	if len(found) > int(limit) {
		reply.Next = new(found[limit-1].ID)
	}
	return reply, err
}

func (a *API) show(ctx context.Context, question operatorapi.EndpointQuestion) (operatorapi.Endpoint, error) {
	found, _, err := a.Sender.Store.Endpoint(ctx, question.ID)
	return shown(found), err
}

func (a *API) add(ctx context.Context, question operatorapi.EndpointAdd) (operatorapi.EndpointSecret, error) {
	host, errs := "", map[string][]string{}
	if host = checkURL(question.URL, a.Private, errs); len(question.Topics) == 0 {
		question.Topics = []string{event.TopicAll}
	}
	topics := checkTopics(question.Topics, errs)
	if question.CustomerID != "" && !rollcallv1.ValidCustomerID(question.CustomerID) {
		errs["customerId"] = []string{"use 1 to 63 characters of a-z, 0-9, _ and -"}
	}
	if len(errs) > 0 {
		return operatorapi.EndpointSecret{}, &service.FieldsError{Errors: errs}
	}
	sealed, secret, err := a.newSecret(ctx)
	if err != nil {
		return operatorapi.EndpointSecret{}, err
	}
	address, err := a.Sender.Vault.SealForInstallation(ctx, purposeURL, []byte(question.URL))
	if err != nil {
		return operatorapi.EndpointSecret{}, err
	}
	var added store.Endpoint
	err = a.Sender.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if question.CustomerID != "" {
			if _, err := tx.Customer(ctx, question.CustomerID); err != nil {
				return err
			}
		}
		if err := a.ensureRecords(ctx, tx, topics); err != nil {
			return err
		}
		id, err := tx.AddEndpoint(ctx, store.NewEndpoint{
			Customer: question.CustomerID, Topics: topics, Host: host, URL: address, Secret: sealed, Records: event.NameRecords(topics),
		})
		if err == nil {
			added, _, err = tx.Endpoint(ctx, id)
		}
		return err
	})
	return operatorapi.EndpointSecret{Endpoint: shown(added), Secret: secret}, err
}

// ensureRecords makes the consumer of events about records if the topics name one. No process drops it before the transaction has ended.
func (a *API) ensureRecords(ctx context.Context, tx *store.Tx, topics []string) error {
	if !event.NameRecords(topics) {
		return nil
	}
	if err := tx.LockEndpointRecords(ctx); err != nil {
		return err
	}
	return a.EnsureRecords(ctx)
}

func (a *API) change(ctx context.Context, question operatorapi.EndpointChange) (operatorapi.Endpoint, error) {
	change, errs := store.EndpointChange{Enabled: question.Enabled}, map[string][]string{}
	if question.URL != "" {
		change.Host = new(checkURL(question.URL, a.Private, errs))
	}
	if len(question.Topics) > 0 {
		change.Topics = checkTopics(question.Topics, errs)
		change.Records = event.NameRecords(change.Topics)
	}
	if question.URL == "" && len(question.Topics) == 0 && question.Enabled == nil {
		return operatorapi.Endpoint{}, &service.BadRequestError{Text: "nothing is to be changed: say url, topics or enabled"}
	}
	if len(errs) > 0 {
		return operatorapi.Endpoint{}, &service.FieldsError{Errors: errs}
	}
	if question.URL != "" {
		var err error
		if change.URL, err = a.Sender.Vault.SealForInstallation(ctx, purposeURL, []byte(question.URL)); err != nil {
			return operatorapi.Endpoint{}, err
		}
	}
	var changed store.Endpoint
	err := a.Sender.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := a.ensureRecords(ctx, tx, change.Topics); err != nil {
			return err
		}
		if _, err := tx.LockEndpoint(ctx, question.ID); err != nil {
			return err
		}
		err := tx.ChangeEndpoint(ctx, question.ID, change)
		if err == nil {
			changed, _, err = tx.Endpoint(ctx, question.ID)
		}
		return err
	})
	if err == nil {
		a.Sender.Wake()
	}
	return shown(changed), err
}

func (a *API) remove(ctx context.Context, question operatorapi.EndpointQuestion) (operatorapi.Endpoint, error) {
	var removed store.Endpoint
	err := a.Sender.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		endpoint, err := tx.LockEndpoint(ctx, question.ID)
		if err != nil {
			return err
		}
		if removed, _, err = tx.Endpoint(ctx, question.ID); err != nil {
			return err
		}
		if endpoint.Alerted {
			if err := clearAlert(ctx, tx, endpoint, "The endpoint was removed."); err != nil {
				return err
			}
		}
		return tx.DeleteEndpoint(ctx, question.ID)
	})
	return shown(removed), err
}

func (a *API) rotate(ctx context.Context, question operatorapi.EndpointRotation) (operatorapi.EndpointSecret, error) {
	keepFor := defaultRotation
	if seconds := question.KeepSeconds; seconds != nil {
		if *seconds < 0 || *seconds > int64(longestRotation/time.Second) {
			return operatorapi.EndpointSecret{}, &service.FieldsError{Errors: map[string][]string{"keepSeconds": {"use 0 to 2592000: 30 days"}}}
		}
		keepFor = time.Duration(*seconds) * time.Second
	}
	sealed, secret, err := a.newSecret(ctx)
	if err != nil {
		return operatorapi.EndpointSecret{}, err
	}
	var rotated store.Endpoint
	err = a.Sender.Store.InTx(ctx, func(ctx context.Context, tx *store.Tx) error {
		changed, err := tx.RotateEndpoint(ctx, question.ID, sealed, keepFor)
		if err == nil && !changed {
			err = store.ErrNotFound
		}
		if err == nil {
			rotated, _, err = tx.Endpoint(ctx, question.ID)
		}
		return err
	})
	return operatorapi.EndpointSecret{Endpoint: shown(rotated), Secret: secret}, err
}

func (a *API) newSecret(ctx context.Context) (sealed []byte, secret string, err error) {
	secret = signedpost.NewSecret()
	sealed, err = a.Sender.Vault.SealForInstallation(ctx, purposeSecret, []byte(secret))
	return sealed, secret, err
}

// test sends a test event at once, also to an endpoint that is disabled: the operator wants to know now. Nothing is noted of it.
func (a *API) test(ctx context.Context, question operatorapi.EndpointQuestion) (operatorapi.EndpointTested, error) {
	endpoint, secrets, err := a.Sender.Store.Endpoint(ctx, question.ID)
	if err != nil {
		return operatorapi.EndpointTested{}, err
	}
	to, err := openTarget(ctx, a.Sender.Vault, secrets)
	if err != nil {
		return operatorapi.EndpointTested{}, err
	}
	now, err := a.Sender.Store.Now(ctx)
	if err != nil {
		return operatorapi.EndpointTested{}, err
	}
	sent, err := body{Type: "endpoint.test", Timestamp: now.UTC(), Data: map[string]any{"customerId": customerOf(endpoint), "endpointId": endpoint.ID}}.encode()
	if err != nil {
		return operatorapi.EndpointTested{}, err
	}
	got := post(ctx, a.Sender.Client, to, "test-"+uuid.NewString(), sent)
	tested := operatorapi.EndpointTested{Outcome: operatorapi.TestSent, Status: statusOf(got.status), Code: got.code, Answer: got.answer}
	if got.failed() {
		tested.Outcome = operatorapi.TestFailed
	}
	return tested, nil
}

func statusOf(status int) *int {
	if status == 0 {
		return nil
	}
	return &status
}

func customerOf(endpoint store.Endpoint) *string {
	if endpoint.Customer == "" {
		return nil
	}
	return &endpoint.Customer
}

// shown returns an endpoint as the API shows it.
func shown(one store.Endpoint) operatorapi.Endpoint {
	reply := operatorapi.Endpoint{
		ID: one.ID, CustomerID: customerOf(one), Topics: one.Topics, Host: one.Host, State: operatorapi.EndpointEnabled, DisabledAt: one.DisabledAt,
		FailingSince: one.FailingSince, FailedAttempts: one.Failures, NextAttemptAt: one.DueAt, PreviousSecretUntil: one.BeforeUntil, CreatedAt: one.CreatedAt,
	}
	switch {
	case one.DisabledAt != nil:
		reply.State, reply.DisabledReason = operatorapi.EndpointDisabled, &one.DisabledReason
	case one.Failures > 0:
		reply.State = operatorapi.EndpointFailing
	}
	return reply
}

// checkURL returns the host of an endpoint's URL. The rules are those of destinations, but it may have a query.
func checkURL(raw string, private destination.PrivateAccess, errs map[string][]string) (host string) {
	plain, _, _ := strings.Cut(raw, "?")
	err := destination.CheckURL(plain, private)
	parsed, failed := url.Parse(raw)
	switch {
	case fault.CodeOf(err) == "destination_url_private":
		errs["url"] = []string{"it points to a private, local or reserved address: use a public one or, if this is meant, add its host:port to ALLOW_PRIVATE_HOSTS"}
	case err != nil, failed != nil, strings.Contains(raw, "#"), len(raw) > maxURL:
		errs["url"] = []string{"write it as https://host/path, without a user and a fragment, in at most 2048 characters"}
	default:
		return parsed.Host
	}
	return ""
}

const maxURL = 2048

// checkTopics returns the topics sorted, each once.
func checkTopics(topics []string, errs map[string][]string) []string {
	known := event.Topics()
	for _, topic := range topics {
		if topic != event.TopicAll && !slices.Contains(known, topic) {
			errs["topics"] = append(errs["topics"], fmt.Sprintf("%q is no topic: use * for all, or names of %s", cut(topic), strings.Join(known, ", ")))
			break
		}
	}
	if len(topics) > maxTopics {
		errs["topics"] = append(errs["topics"], "use at most 100 topics")
	}
	topics = slices.Clone(topics)
	slices.Sort(topics)
	return slices.Compact(topics)
}

func cut(text string) string { return text[:min(len(text), 64)] }

// pageSize is how many rows a page has.
func pageSize(asked int32) int32 {
	const most, usual = 200, 50
	if asked <= 0 {
		return usual
	}
	return min(asked, most)
}
