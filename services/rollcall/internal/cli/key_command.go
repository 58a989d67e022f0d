package cli

import "github.com/spf13/cobra"

func (a *app) key() *cobra.Command {
	return &cobra.Command{
		Use:   "key",
		Short: "Print the public key that tokens are sealed to",
		Args:  cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			on, err := a.connect()
			if err != nil {
				return err
			}
			defer on.close()
			key, err := on.PublicKey(command.Context())
			if err != nil {
				return err
			}
			if a.json {
				return a.document(key)
			}
			sayf(a.out, "%s", key.PublicKey)
			return nil
		},
	}
}
