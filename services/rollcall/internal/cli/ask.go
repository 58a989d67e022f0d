package cli

import (
	"context"
	"errors"
	"fmt"

	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/service"
)

// ask sends a question to the service that owns the noun.
func ask[Question, Reply any](ctx context.Context, on *link, noun, verb string, question Question) (Reply, error) {
	return operatorclient.Ask[Question, Reply](ctx, &on.Client, noun, verb, question)
}

// errUnknownCustomer means that no customer with that id was onboarded.
var errUnknownCustomer = errors.New("is not known")

// customerError says which customer a service's error is about.
func customerError(customer string, err error) error {
	var rejected *operatorclient.RejectedError
	switch {
	case operatorclient.IsUnknown(err):
		return fmt.Errorf("customer %q %w: rollcall customer ls lists those that are", customer, errUnknownCustomer)
	case errors.As(err, &rejected) && len(rejected.Fields.Errors) > 0:
		return fmt.Errorf("nothing was changed:%s", fieldErrors(rejected.Fields.Errors))
	case errors.As(err, &rejected) && rejected.Code != service.CodeInternal:
		return errors.New(rejected.Text)
	}
	return err
}
