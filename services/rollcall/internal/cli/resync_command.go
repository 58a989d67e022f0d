package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
)

// resyncTimeout is longer than the service's own timeout: the service asks VOMO, and may wait for the customer's lane.
const resyncTimeout = 25 * time.Second

func (a *app) resync() *cobra.Command {
	return &cobra.Command{
		Use:   "resync <customer> <vomo-id>",
		Short: "Bring one user to the destination now, as VOMO has it",
		Long: `Reads one user from VOMO and writes it to the destination, whatever the schedule says, and also when its version is
known: the record there may have been damaged. A version that is older than the known one is not written. Nothing is
deleted when VOMO does not have the user. It exits 0 when the destination has VOMO's version, 1 otherwise.`,
		Args: cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			return a.runResync(command.Context(), operatorapi.ResyncQuestion{CustomerID: args[0], VomoID: args[1]})
		},
	}
}

func (a *app) runResync(ctx context.Context, question operatorapi.ResyncQuestion) error {
	on, err := a.connect()
	if err != nil {
		return err
	}
	defer on.close()
	on.Timeout = max(on.Timeout, resyncTimeout)
	result, err := ask[operatorapi.ResyncQuestion, operatorapi.Resync](ctx, on, "users", "resync", question)
	if err != nil {
		return customerError(question.CustomerID, err)
	}
	if a.json {
		if err := a.document(result); err != nil {
			return err
		}
	}
	text := fmt.Sprintf("%s: user %s %s", result.CustomerID, result.VomoID, resyncText(result))
	if result.Outcome != operatorapi.ResyncWritten {
		return errors.New(text)
	}
	if !a.json {
		sayf(a.out, "%s", text)
	}
	return nil
}

// resyncText says what happened to the user.
func resyncText(result operatorapi.Resync) string {
	switch result.Outcome {
	case operatorapi.ResyncWritten:
		text := "written, as of " + when(result.UpdatedAt)
		if result.WasCurrent {
			text += "; that version was known already, and was sent again"
		}
		return text
	case operatorapi.ResyncOlder:
		return "not written: VOMO's version of " + when(result.UpdatedAt) + " is older than the known one of " + when(result.KnownUpdatedAt)
	case operatorapi.ResyncDestinationNewer:
		return "not changed: the destination says that it has a newer version than VOMO's of " + when(result.UpdatedAt)
	case operatorapi.ResyncNotFound:
		return "not written: VOMO has no such user, or hides it from this token; nothing was deleted"
	case operatorapi.ResyncLetter:
		if result.Letter == nil {
			return "not written: it got a dead letter that is settled already"
		}
		return fmt.Sprintf("not written: dead letter %s is open for it (%s, %s)", result.Letter.ID, result.Letter.ErrorCode, result.Letter.ErrorClass)
	}
	return result.Outcome // a newer service's
}
