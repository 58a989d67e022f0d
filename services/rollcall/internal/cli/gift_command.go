package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
)

func (a *app) gift() *cobra.Command {
	command := &cobra.Command{
		Use:   "gift",
		Short: "See gifts as Virtuous has them; this is audited",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return usage("say which: gift ls or gift show") },
	}
	command.AddCommand(a.giftLs(), a.giftShow())
	return command
}

func (a *app) giftLs() *cobra.Command {
	return recordsLs(a, records[operatorapi.GiftsReply, operatorapi.Gift]{
		noun: "gifts", short: "List a customer's gifts, the highest ids first; this is audited",
		page: func(reply operatorapi.GiftsReply) ([]operatorapi.Gift, *int64) { return reply.Gifts, reply.Next },
		document: func(gifts []operatorapi.Gift, next *int64) any {
			return operatorapi.GiftsReply{Gifts: gifts, Next: next}
		},
		listing: listing[operatorapi.Gift]{
			columns: []any{"GIFT", "STATE", "AMOUNT", "CURRENCY", "DATE", "TYPE", "CONTACT", "DONATION", "LAST SEEN"}, none: "There is no gift.",
			row: func(one operatorapi.Gift) []any {
				return []any{
					one.VirtuousGiftID, one.State, dashed(one.Amount), dashed(one.CurrencyCode), dashed(one.GiftDate), dashed(one.GiftType),
					virtuousID(one.VirtuousContactID), text(one.PlatformDonationID), moment(one.LastSyncAt),
				}
			},
		},
	})
}

// records says how the gifts or the contacts of a customer are listed.
type records[Reply, Record any] struct {
	noun, short string
	page        func(Reply) (found []Record, next *int64)
	document    func(found []Record, next *int64) any
	listing     listing[Record] // without its items
	// instead lists something else, if a flag asks for it; or nil.
	instead func(ctx context.Context, customer string, listed listFlags) (done bool, err error)
}

// recordsLs returns an ls of a customer's gifts or contacts.
func recordsLs[Reply, Record any](a *app, of records[Reply, Record]) *cobra.Command {
	var listed listFlags
	command := &cobra.Command{
		Use:     "ls <customer>",
		Aliases: []string{"list"},
		Short:   of.short,
		Args:    cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if of.instead != nil {
				if done, err := of.instead(command.Context(), args[0], listed); done || err != nil {
					return err
				}
			}
			rows, err := listed.rows()
			if err != nil {
				return err
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			all, more := []Record{}, (*int64)(nil)
			err = paged[operatorapi.RecordsQuestion, Reply, int64]{
				noun: of.noun, verb: "ls", rows: rows, atOnce: operatorapi.MaxGiving,
				question: func(at int64, rows int32) operatorapi.RecordsQuestion {
					return operatorapi.RecordsQuestion{CustomerID: args[0], Before: at, Limit: rows}
				},
				take: func(reply Reply) (int, *int64, error) {
					found, next := of.page(reply)
					all, more = append(all, found...), next
					return len(found), next, nil
				},
			}.ask(command.Context(), on)
			if err != nil {
				return customerError(args[0], err)
			}
			if a.json {
				return a.document(of.document(all, more))
			}
			list := of.listing
			list.items, list.more = all, more != nil
			return printList(a, list)
		},
	}
	listed.add(command)
	return command
}

func (a *app) giftShow() *cobra.Command {
	return &cobra.Command{
		Use:   "show <customer> <gift id>",
		Short: "Show a gift with all fields; this is audited",
		Args:  cobra.ExactArgs(2),
		RunE: func(command *cobra.Command, args []string) error {
			id, err := recordID(args[1])
			if err != nil {
				return err
			}
			return askOne(command.Context(), a, args[0], question[operatorapi.RecordQuestion, operatorapi.Gift]{
				noun: "gifts", verb: "show", of: operatorapi.RecordQuestion{CustomerID: args[0], ID: id},
				unknown: "has no such gift, or is not known: rollcall gift ls lists them",
				print: func(one operatorapi.Gift) error {
					lines := a.table()
					lines.row(fmt.Sprintf("gift %d", one.VirtuousGiftID), one.State)
					lines.row("  sync state", one.SyncState)
					lines.row("  our donation", text(one.PlatformDonationID))
					lines.row("  modified", momentOr(one.ModifiedAt))
					lines.row("  deleted", momentOr(one.DeletedAt))
					lines.row("  last seen", moment(one.LastSyncAt))
					printFields(lines, one.Fields)
					return lines.end()
				},
			})
		},
	}
}

// printFields prints a record's fields that have a value, by name.
func printFields(lines table, fields map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if fields[name] != "" {
			lines.row("  "+name, fields[name])
		}
	}
}

// recordID reads an id of Virtuous.
func recordID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, usage("%q is no id at Virtuous", text)
	}
	return id, nil
}
