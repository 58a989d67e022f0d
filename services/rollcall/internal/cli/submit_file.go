package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"rollcall.dev/pkg/operatorclient"
)

// submission is what a file has, and where it is published.
type submission struct{ noun, subject string }

// submitFile publishes the JSON object of a file, as a platform does.
func (a *app) submitFile(ctx context.Context, of submission, customer, path string) error {
	message, err := a.readSubmission(of.noun, customer, path)
	if err != nil {
		return err
	}
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	sent, err := on.PublishSubmission(ctx, customer, of.subject, message)
	if err != nil {
		return err
	}
	if a.json {
		return a.document(sent)
	}
	sayf(a.out, "%s: %s published", customer, of.noun)
	return nil
}

// readSubmission reads a donation or contact and fills in its customer. Its errors quote nothing of the file, which names a person.
func (a *app) readSubmission(noun, customer, path string) ([]byte, error) {
	from := a.Stdin
	if path != "-" {
		file, err := os.Open(path) //nolint:gosec // G304: the operator names the file
		if err != nil {
			return nil, fmt.Errorf("read the %s: %w", noun, err)
		}
		defer func() { _ = file.Close() }() // it was read only
		from = file
	}
	data, err := io.ReadAll(io.LimitReader(from, operatorclient.LongestSubmission+1))
	if err != nil {
		return nil, fmt.Errorf("read the %s: %w", noun, err)
	}
	message, err := operatorclient.Submission(customer, data)
	switch {
	case errors.Is(err, operatorclient.ErrNoSubmission):
		return nil, fmt.Errorf("the file is no %s: %w", noun, err)
	case errors.Is(err, operatorclient.ErrAnotherCustomer):
		return nil, fmt.Errorf("the file is a %s of another customer than %q", noun, customer)
	}
	return message, err
}
