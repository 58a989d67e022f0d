package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
)

func (a *app) link() *cobra.Command {
	var asked operatorapi.LinkAddition
	var life string
	command := &cobra.Command{
		Use:     "link <customer>",
		Aliases: []string{"links"},
		Short:   "Make a link to a customer's own page; list and revoke links",
		Long: `Makes a link for a customer's people: it opens the pages of this customer, and no others, in a browser. It is printed once. Without --may
it shows how the mirror stands, and nothing can be changed. With --may it also lets them replace the token or key (token), retry and discard
letters (letters), decide review items (review), see donors (donors), and pause and resume (pause). Each act is audited with the link's id.`,
		Example: "  rollcall link acme\n  rollcall link acme --for 30d --may token,letters\n  rollcall link revoke 17",
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			asked.CustomerID = args[0]
			var err error
			if asked.LifeSeconds, err = lifeSeconds(life); err != nil {
				return err
			}
			if asked.LifeSeconds > int64(operatorapi.MaxLinkLife.Seconds()) {
				return usage("--for is at most 90d")
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			added, err := ask[operatorapi.LinkAddition, operatorapi.LinkAdded](command.Context(), on, "links", "add", asked)
			if err != nil {
				return customerError(asked.CustomerID, err)
			}
			if a.json {
				return a.document(added)
			}
			sayf(a.out, "%s", added.URL)
			sayf(a.log, "Link %d of %s may %s until %s. It is not shown again.", added.ID, added.CustomerID, strings.Join(added.Rights, ", "),
				moment(added.ExpiresAt))
			return nil
		},
	}
	command.Flags().StringVar(&life, "for", "7d", "how `long` it is valid, such as 7d or 12h, at most 90d")
	command.Flags().StringSliceVar(&asked.Rights, "may", nil, "`rights` besides looking: token, letters, review, donors, pause")
	command.AddCommand(a.linkLs(), a.linkRevoke())
	return command
}

func (a *app) linkLs() *cobra.Command {
	var flags listFlags
	command := &cobra.Command{
		Use:     "ls [customer]",
		Aliases: []string{"list"},
		Short:   "List links, newest first",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			rows, err := flags.rows()
			if err != nil {
				return err
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			links, err := listLinks(command.Context(), on, oneCustomer(args), rows)
			if err != nil {
				return err
			}
			if a.json {
				return a.document(links)
			}
			return printList(a, listing[operatorapi.Link]{
				columns: []any{"ID", "CUSTOMER", "STATE", "MAY", "MADE", "EXPIRES", "USED"},
				items:   links.Links, row: func(link operatorapi.Link) []any {
					return []any{
						link.ID, link.CustomerID, link.State, strings.Join(link.Rights, ","), moment(link.CreatedAt), moment(link.ExpiresAt),
						momentOr(link.UsedAt),
					}
				},
				none: "There is no link: rollcall link <customer>", more: links.Next != nil,
			})
		},
	}
	flags.add(command)
	return command
}

// listLinks joins the service's pages.
func listLinks(ctx context.Context, on *link, customer string, rows int) (operatorapi.LinksReply, error) { //nolint:dupl // as drains, of other types
	whole := operatorapi.LinksReply{Links: []operatorapi.Link{}}
	err := paged[operatorapi.LinksQuestion, operatorapi.LinksReply, int64]{
		noun: "links", verb: "ls", rows: rows, atOnce: operatorapi.MaxGrants,
		question: func(at int64, rows int32) operatorapi.LinksQuestion {
			return operatorapi.LinksQuestion{CustomerID: customer, Before: at, Limit: rows}
		},
		take: func(page operatorapi.LinksReply) (int, *int64, error) {
			whole.Links, whole.Next = append(whole.Links, page.Links...), page.Next
			return len(page.Links), page.Next, nil
		},
	}.ask(ctx, on)
	return whole, err
}

func (a *app) linkRevoke() *cobra.Command {
	return &cobra.Command{
		Use:   "revoke <id>",
		Short: "End a link, and the sessions that were begun with it",
		Args:  cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			id, err := strconv.ParseInt(args[0], 10, 64)
			if err != nil || id < 1 {
				return usage("%q is no id of a link: rollcall link ls lists them", args[0])
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			ended, err := ask[operatorapi.LinkRevocation, operatorapi.GrantEnded](command.Context(), on, "links", "revoke",
				operatorapi.LinkRevocation{ID: id})
			if operatorclient.IsUnknown(err) {
				return fmt.Errorf("there is no link %d that is not revoked: rollcall link ls lists them", id)
			}
			if err != nil {
				return err
			}
			if a.json {
				return a.document(ended)
			}
			sayf(a.out, "link %d of %s: revoked, at once", id, textOr(ended.CustomerID, "-"))
			return nil
		},
	}
}
