package givingapi

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"rollcall.dev/pkg/giving/dailyreport"
	"rollcall.dev/pkg/giving/inbound"
	"rollcall.dev/pkg/giving/subscription"
	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
	"rollcall.dev/pkg/virtuous"
)

const (
	// slowest is how long an answer may take that asks Virtuous.
	slowest   = 24 * time.Second
	slowSlots = 4
)

// Looker looks up gifts and contacts at Virtuous; *virtuous.Client is one.
type Looker interface {
	GiftByTransaction(ctx context.Context, source, id string) (virtuous.Gift, error)
	Gift(ctx context.Context, id int64) (virtuous.Gift, error)
	Contact(ctx context.Context, id int64) (virtuous.Contact, error)
	ContactByReference(ctx context.Context, source, id string) (virtuous.Contact, error)
}

// API answers operators.
type API struct {
	Store         *store.Store
	Vault         *vault.Vault
	Logger        *zap.Logger
	Applier       *inbound.Applier
	Subscriptions *subscription.Subscriptions
	Reporter      dailyreport.Reporter
	// Open opens Virtuous for a customer; its requests are counted under the job.
	Open            func(ctx context.Context, config store.VirtuousConfig, job string) (Looker, error)
	Source          string // VIRTUOUS_TRANSACTION_SOURCE
	DonationPurpose string // for which donations are sealed
	Sent            func() // has pending donations sent at once
	Applied         func() // has parts of deliveries applied at once
}

// Answer serves the endpoints until the service stops. drained waits for the answers that are under way.
func (a *API) Answer(ctx context.Context, s *service.Service) (drained func(), err error) {
	slow := service.Slow{Within: slowest, Slots: slowSlots}
	var ends []func()
	slowly := func(end func(), err error) error {
		ends = append(ends, end)
		return err
	}
	err = errors.Join(
		service.Answer(s, "donations", "ls", a.donations),
		service.Answer(s, "donations", "show", a.donation),
		service.Answer(s, "donations", "retry", a.retry),
		slowly(service.AnswerSlowly(ctx, s, "donations", "close", slow, a.closeDonation)),
		service.Answer(s, "gifts", "ls", a.gifts),
		service.Answer(s, "gifts", "show", a.gift),
		service.Answer(s, "contacts", "ls", a.contacts),
		service.Answer(s, "contacts", "show", a.contact),
		service.Answer(s, "contacts", "transactions", a.contactTransactions),
		service.Answer(s, "contacts", "transaction", a.contactTransaction),
		service.Answer(s, "contacts", "retry", a.retryContact),
		service.Answer(s, "contacts", "applied", a.applied),
		slowly(service.AnswerSlowly(ctx, s, "contacts", "close", slow, a.closeContact)),
		service.Answer(s, "reconciliations", "ls", a.reconciliations),
		service.Answer(s, "reports", "show", a.report),
		slowly(service.AnswerSlowly(ctx, s, "record", "show", slow, a.showRecord)),
		slowly(service.AnswerSlowly(ctx, s, "record", "fix", slow, a.fixRecord)),
		service.Answer(s, "webhooks", "ls", a.webhooks),
		service.Answer(s, "webhooks", "replay", a.replay),
		slowly(service.AnswerSlowly(ctx, s, "webhooks", "add", slow, a.addWebhook)),
		slowly(service.AnswerSlowly(ctx, s, "webhooks", "verify", slow, a.verifyWebhook)),
		slowly(service.AnswerSlowly(ctx, s, "webhooks", "rotate", slow, a.rotateWebhook)),
		slowly(service.AnswerSlowly(ctx, s, "webhooks", "rm", slow, a.removeWebhook)),
	)
	return func() {
		for _, end := range ends {
			end()
		}
	}, err
}

func pageOf(limit int32) int32 {
	if limit <= 0 || limit > operatorapi.MaxGiving {
		return operatorapi.MaxGiving
	}
	return limit
}

// unless returns nil for a value that stands for none.
func unless[Value comparable](none, value Value) *Value {
	if value == none {
		return nil
	}
	return &value
}

// report returns the report of a day, or one as of now.
func (a *API) report(ctx context.Context, question operatorapi.GivingReportQuestion) (dailyreport.Report, error) {
	if _, err := a.Store.Customer(ctx, question.CustomerID); err != nil {
		return dailyreport.Report{}, err
	}
	var made dailyreport.Report
	var err error
	if question.Date == "" {
		made, err = a.Reporter.Make(ctx, a.Store.Conn, question.CustomerID)
	} else {
		if _, err := time.Parse(time.DateOnly, question.Date); err != nil {
			return dailyreport.Report{}, &service.FieldsError{Errors: map[string][]string{"date": {"must be a day such as 2026-11-20"}}}
		}
		made, err = dailyreport.Of(ctx, a.Store.Conn, question.CustomerID, question.Date)
	}
	if errors.Is(err, store.ErrNotFound) {
		return dailyreport.Report{}, &service.ConflictError{Text: "there is no report of that day, or the customer has no giving"}
	}
	return made, err
}

// reconciliations lists what reconciliations with Virtuous did.
func (a *API) reconciliations(ctx context.Context, question operatorapi.ReconciliationLogQuestion) (operatorapi.ReconciliationLogReply, error) {
	reply := operatorapi.ReconciliationLogReply{Actions: []operatorapi.ReconciliationAction{}}
	if _, err := a.Store.Customer(ctx, question.CustomerID); err != nil {
		return reply, err
	}
	now, err := a.Store.Now(ctx)
	if err != nil {
		return reply, err
	}
	until := question.To
	if until.IsZero() {
		until = now.Add(time.Second)
	}
	after := store.ReconciliationAction{RunAt: question.From}
	if question.After != nil {
		after = store.ReconciliationAction{RunAt: question.After.RunAt, ID: question.After.ID}
	}
	limit := pageOf(question.Limit)
	actions, err := a.Store.ReconciliationLog(ctx, question.CustomerID, question.Category, after, until, limit)
	for _, one := range actions {
		reply.Actions = append(reply.Actions, operatorapi.ReconciliationAction{
			ID: one.ID, RunAt: one.RunAt, Category: one.Category, Entity: one.Entity, PlatformRecordID: unless("", one.PlatformID),
			VirtuousRecordID: unless(0, one.VirtuousID), Resolution: one.Resolution, Details: one.Details, TraceID: unless("", one.TraceID),
		})
	}
	if len(actions) == int(limit) {
		last := actions[len(actions)-1]
		reply.Next = &operatorapi.ReconciliationPos{RunAt: last.RunAt, ID: last.ID}
	}
	return reply, err
}
