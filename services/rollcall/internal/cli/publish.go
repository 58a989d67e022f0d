package cli

import (
	"context"

	"google.golang.org/protobuf/proto"

	"rollcall.dev/pkg/operatorclient"
)

// published is the stream's acknowledgement of a request.
type published = operatorclient.Published

// request publishes a plain request, as other clients may too. The stream keeps one for each customer.
func (a *app) request(ctx context.Context, on *link, customer, subject string, message proto.Message) (requested, error) {
	isRequested, err := on.PublishRun(ctx, subject, message, a.WaitFunc)
	return requested{CustomerID: customer, Subject: subject, AlreadyRequested: isRequested}, err
}
