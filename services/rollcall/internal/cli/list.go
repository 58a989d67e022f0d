package cli

import (
	"context"

	"github.com/spf13/cobra"
)

const defaultListed = 50

// lister is an ls: so many, or all.
func (a *app) lister(short string, list func(ctx context.Context, on *link, limit int, all bool) error) *cobra.Command {
	var limit int
	var all bool
	command := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   short,
		Args:    cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			if limit < 1 {
				return usage("--limit must be 1 or more")
			}
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			return list(command.Context(), on, limit, all)
		},
	}
	command.Flags().IntVar(&limit, "limit", defaultListed, "how many to list")
	command.Flags().BoolVar(&all, "all", false, "list all, however many")
	return command
}
