package cli

import (
	"context"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
)

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
			key, err := publicKey(command.Context(), on)
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

func publicKey(ctx context.Context, on *link) (operatorapi.KeyReply, error) {
	return ask[struct{}, operatorapi.KeyReply](ctx, on, "key", "get", struct{}{})
}
