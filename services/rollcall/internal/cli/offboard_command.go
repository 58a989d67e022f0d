package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/report"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

func (a *app) offboard() *cobra.Command {
	var force bool
	command := &cobra.Command{
		Use:   "offboard <customer>",
		Short: "Ask to end a customer's mirror and delete its credentials",
		Long: `Publishes the request to end a customer's mirror: it is switched off and its credentials are deleted.
On a terminal it asks first; elsewhere it needs --force.`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			return a.runOffboard(command.Context(), args[0], force)
		},
	}
	command.Flags().BoolVarP(&force, "force", "f", false, "do not ask")
	return command
}

func (a *app) runOffboard(ctx context.Context, customer string, force bool) error {
	request := &rollcallv1.OffboardRequest{CustomerId: customer}
	if errs := request.Validate(customer); len(errs) > 0 {
		return usage("this request would be refused:%s", fieldErrors(errs))
	}
	if !force && !a.StdinTerminal {
		return usage("there is no terminal to ask on: --force offboards %q without asking", customer)
	}
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	_, err = ask[report.StatusQuestion, json.RawMessage](ctx, on, "status", "get", report.StatusQuestion{CustomerID: customer})
	switch {
	case isUnanswered(err):
		// The stream keeps the request until the service is back; only a mistyped name is not noticed.
		sayf(a.log, "%v; whether %q is known could not be asked", err, customer)
	case err != nil:
		return customerError(customer, err)
	}
	if !force {
		warning := fmt.Sprintf("The mirror of %q ends and its credentials are deleted.", customer)
		if err := a.confirmTyping(ctx, customer, warning, "not offboarded"); err != nil {
			return err
		}
	}
	taken, err := publish(ctx, on, customer, bus.SubjectOffboard(customer), request)
	if err != nil {
		return err
	}
	a.progressLinef("%s: published as message %d of %s", customer, taken.Sequence, taken.Stream)
	if a.json {
		return a.document(taken)
	}
	return nil
}

// confirmTyping asks to type the customer's id: a "y" is typed too easily for a change that cannot be undone.
func (a *app) confirmTyping(ctx context.Context, customer, warning, otherwise string) error {
	_, _ = fmt.Fprintf(a.log, "%s Type %s to go on: ", warning, customer)
	answer, err := await(ctx, func() (string, error) { return readLine(a.Stdin) })
	if err != nil {
		sayf(a.log, "")
		return fmt.Errorf("read the answer: %w", err)
	}
	if strings.TrimSpace(answer) != customer {
		return errors.New(otherwise)
	}
	return nil
}
