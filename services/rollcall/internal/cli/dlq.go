package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/service"
)

// lettersTimeout is above what the service gives itself for a batch of letters.
const lettersTimeout = 12 * time.Second

func (a *app) dlq() *cobra.Command {
	command := &cobra.Command{
		Use:     "dlq",
		Aliases: []string{"letters"},
		Short:   "Look at dead letters, retry, discard and export them",
		Long: `A dead letter is a user whom the destination refused (kind user), or a message that could not be handled (kind message).
Waiting letters are tried again by themselves; those in review wait for an operator. A letter is settled when it was
taken, when a newer version of the user was, or when it is discarded.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return usage("say which: dlq ls, show, retry, discard or export")
		},
	}
	command.AddCommand(a.dlqLs(), a.dlqShow(), a.dlqRetry(), a.dlqDiscard(), a.dlqExport())
	return command
}

// connectForLetters connects with the patience that letters take.
func (a *app) connectForLetters() (*link, error) {
	on, err := a.connect()
	if err != nil {
		return nil, err
	}
	on.timeout = max(on.timeout, lettersTimeout)
	return on, nil
}

// aboutLetter puts a service's "not found" into words.
func aboutLetter(id string, err error) error {
	var refused *refusedError
	switch {
	case isUnknown(err):
		return fmt.Errorf("letter %q is not known: rollcall dlq ls lists open letters, with --state all settled ones too", id)
	case errors.As(err, &refused) && refused.code != service.CodeInternal:
		return errors.New(refused.text)
	}
	return err
}

// aboutLetters puts what a service says of a filter into words.
func aboutLetters(customer string, err error) error {
	var refused *refusedError
	if errors.As(err, &refused) && len(refused.fields.Errors) > 0 {
		return fmt.Errorf("the service does not take this filter:%s", fieldErrors(refused.fields.Errors))
	}
	return aboutCustomer(customer, err)
}
