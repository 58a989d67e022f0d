package inbox

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// PurposePart is the purpose for which parts of deliveries are sealed.
const PurposePart = "webhook_part"

// EventUnreadable is the event of a signed body that is no delivery, which only letters have.
const EventUnreadable = "unreadable"

var errNotPart = errors.New("the message is no part of a delivery")

// Intake stores the parts that messages have. Its Handle is the handler of the durable `webhooks`.
type Intake struct {
	Store  *store.Store
	Logger *zap.Logger
	Wake   func() // called when there is a part to apply
}

// Handle stores the part of a message. It is idempotent by the digest of the part.
func (i *Intake) Handle(ctx context.Context, delivery *worker.Delivery) error {
	customer, part := bus.CustomerOf(delivery.Subject), &rollcallv1.WebhookPart{}
	if err := rollcallv1.Read(delivery.Data, part); err != nil {
		return fault.Permanent("webhook_part_unreadable", errNotPart) // the error may quote the message
	}
	if !rollcallv1.ValidCustomerID(customer) || part.GetCustomerId() != customer || len(part.GetDigest()) == 0 || len(part.GetSealed()) == 0 ||
		part.GetRecords() < 1 || part.GetEvent() == "" || part.GetReceivedAt() == nil {
		return fault.Permanent("webhook_part_unreadable", errNotPart)
	}
	added, err := i.Store.AddInboxPart(ctx, customer, store.InboxPart{
		Digest: part.GetDigest(), Event: part.GetEvent(), Records: int(part.GetRecords()), Sealed: part.GetSealed(), TraceID: part.GetTraceId(),
		ReceivedAt: part.GetReceivedAt().AsTime(),
	})
	if err != nil {
		return fmt.Errorf("store a part of a delivery: %w", err)
	}
	if added {
		i.Wake()
	} else {
		i.Logger.Debug("part of a delivery not stored: it is known, or the customer has no giving", zap.String("customer", customer))
	}
	return nil
}
