package inbox

import (
	"context"
	"errors"

	"go.uber.org/zap"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/fault"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/worker"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

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
	added, err := Add(ctx, i.Store.Conn, part)
	if err != nil {
		return err
	}
	if added {
		i.Wake()
	} else {
		i.Logger.Debug("part of a delivery not stored: it is known, or the customer has no giving, or that of another organization", zap.String("customer", customer))
	}
	return nil
}
