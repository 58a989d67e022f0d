package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
)

func (a *app) token() *cobra.Command {
	command := &cobra.Command{
		Use:     "token",
		Aliases: []string{"tokens"},
		Short:   "API tokens of the console: add, list and revoke them",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return usage("say which: token add, token ls or token revoke") },
	}
	command.AddCommand(a.tokenAdd(), a.tokenLs(), a.tokenRevoke())
	return command
}

func (a *app) tokenAdd() *cobra.Command {
	var asked operatorapi.TokenAddition
	var life string
	command := &cobra.Command{
		Use:   "add <name>",
		Short: "Add an API token, and print it this once",
		Long: `Adds a token for the HTTP API, which also signs a person in to the console's pages. It is printed once, and stored as a hash. A role has
its rights; --may gives single ones, besides looking: letters, review, deletions, donors, token, pause, donations, customers, admin.`,
		Example: "  rollcall token add ana --role operator --for 90d\n  rollcall token add ci --may letters,review --customer acme",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			asked.Name = args[0]
			if asked.Role == "" && !command.Flags().Changed("may") {
				return usage("say what it may do: --role viewer, operator or admin, or --may with single rights")
			}
			var err error
			if asked.LifeSeconds, err = lifeSeconds(life); err != nil {
				return err
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			added, err := ask[operatorapi.TokenAddition, operatorapi.TokenAdded](command.Context(), on, "tokens", "add", asked)
			if err != nil {
				return customerError(asked.CustomerID, err)
			}
			if a.json {
				return a.document(added)
			}
			sayf(a.out, "%s", added.Secret)
			sayf(a.log, "%s may %s%s. The token is not shown again.", added.Name, strings.Join(added.Rights, ", "), untilOr(added.ExpiresAt))
			return nil
		},
	}
	command.Flags().StringVar(&asked.Role, "role", "", "its `role`: viewer, operator or admin")
	command.Flags().StringSliceVar(&asked.Rights, "may", nil, "single `rights`, comma-separated")
	command.Flags().StringVar(&asked.CustomerID, "customer", "", "the only `customer` that it sees")
	command.Flags().StringVar(&life, "for", "", "how `long` it is valid, such as 90d or 12h (default: until it is revoked)")
	return command
}

// untilOr returns until when something is valid, "" for ever.
func untilOr(at *time.Time) string {
	if at == nil {
		return ""
	}
	return " until " + moment(*at)
}

// lifeSeconds reads a life in days, or as Go writes durations. "" is 0.
func lifeSeconds(text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	life, err := time.ParseDuration(text)
	if days, isDays := strings.CutSuffix(text, "d"); isDays {
		var count int64
		count, err = strconv.ParseInt(days, 10, 16)
		life = time.Duration(count) * 24 * time.Hour
	}
	if err != nil || life < time.Minute {
		return 0, usage("--for %q is no time such as 7d or 12h, of a minute or more", text)
	}
	return int64(life / time.Second), nil
}

func (a *app) tokenLs() *cobra.Command {
	return a.lister("List API tokens, newest first", func(ctx context.Context, on *link, rows int) error {
		tokens, err := listTokens(ctx, on, rows)
		if err != nil {
			return err
		}
		if a.json {
			return a.document(tokens)
		}
		return printList(a, listing[operatorapi.APIToken]{
			columns: []any{"NAME", "STATE", "CUSTOMER", "MAY", "ADDED", "EXPIRES", "USED"},
			items:   tokens.Tokens, row: func(token operatorapi.APIToken) []any {
				return []any{
					token.Name, token.State, textOr(token.CustomerID, "all"), strings.Join(token.Rights, ","), moment(token.CreatedAt),
					momentOr(token.ExpiresAt), momentOr(token.UsedAt),
				}
			},
			none: "There is no API token: rollcall token add <name> --role admin", more: tokens.Next != nil,
		})
	})
}

// listTokens joins the service's pages.
func listTokens(ctx context.Context, on *link, rows int) (operatorapi.TokensReply, error) {
	whole := operatorapi.TokensReply{Tokens: []operatorapi.APIToken{}}
	err := paged[operatorapi.TokensQuestion, operatorapi.TokensReply, int64]{
		noun: "tokens", verb: "ls", rows: rows, atOnce: operatorapi.MaxGrants,
		question: func(at int64, rows int32) operatorapi.TokensQuestion {
			return operatorapi.TokensQuestion{Before: at, Limit: rows}
		},
		take: func(page operatorapi.TokensReply) (int, *int64, error) {
			whole.Tokens, whole.Next = append(whole.Tokens, page.Tokens...), page.Next
			return len(page.Tokens), page.Next, nil
		},
	}.ask(ctx, on)
	return whole, err
}

func (a *app) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke <name>",
		Short: "End an API token, and the sessions that were begun with it",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			ended, err := ask[operatorapi.TokenRevocation, operatorapi.GrantEnded](command.Context(), on, "tokens", "revoke",
				operatorapi.TokenRevocation{Name: args[0]})
			if operatorclient.IsUnknown(err) {
				return fmt.Errorf("there is no token %q that is not revoked: rollcall token ls lists them", args[0])
			}
			if err != nil {
				return err
			}
			if a.json {
				return a.document(ended)
			}
			sayf(a.out, "%s: revoked, at once", args[0])
			return nil
		},
	}
}
