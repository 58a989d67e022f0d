package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/service"
	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

func (a *app) secrets() *cobra.Command {
	command := &cobra.Command{
		Use:   "secrets",
		Short: "Look after the keys that seal credentials",
		Args:  cobra.NoArgs,
		RunE:  func(*cobra.Command, []string) error { return usage("say which: secrets rotate") },
	}
	command.AddCommand(a.secretsRotate())
	return command
}

// rotated is what --json prints.
type rotated struct {
	vault.Rotated
	DryRun bool `json:"dryRun"`
}

func (a *app) secretsRotate() *cobra.Command {
	var dryRun, force bool
	command := &cobra.Command{
		Use:   "rotate",
		Short: "Seal all keys anew with another key, while the services run",
		Long: `Seals the customers' and the installation's keys anew with the key of SECRETS_URL_NEXT; with a key file, with
a key that it draws into the file; with a Vault key, with its newest version. It may be interrupted and run again.
What the customers' keys have sealed (tokens, letters) stays as it is.

Give SECRETS_URL_NEXT to all services and restart them first: they open what either key sealed. Services with a key
file follow by themselves. It reads DATABASE_URL, SECRETS_URL and SECRETS_URL_NEXT, as the services do.`,
		Args: cobra.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			settings, err := config.Load(a.Environ)
			if err != nil {
				return err
			}
			return a.rotate(command.Context(), settings, dryRun, force)
		},
	}
	command.Flags().BoolVar(&dryRun, "dry-run", false, "open every key and count; change nothing")
	command.Flags().BoolVar(&force, "force", false, "do not ask whether the running services have the new key")
	return command
}

func (a *app) rotate(ctx context.Context, settings config.Config, dryRun, force bool) (err error) {
	opened, err := openStore(ctx, settings)
	if err != nil {
		return err
	}
	defer opened.Close()
	if err := store.CheckSchema(ctx, settings.DatabaseURL); err != nil {
		return err
	}
	keeper, err := openKeeper(ctx, settings)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keeper.Close()) }()
	rotation := &vault.Rotation{Keeper: keeper, Store: opened, DryRun: dryRun}
	if !dryRun && !force && !rotation.NewFileKey() {
		if err := a.servicesHave(ctx, rotation); err != nil {
			return err
		}
	}
	done, err := rotation.Run(ctx)
	if err != nil && !errors.Is(err, vault.ErrSomeNotOpened) {
		if begun := done.Customers.Resealed + done.Installation.Resealed; begun > 0 {
			sayf(a.log, "%s sealed anew; both keys are needed, and the same command goes on", counted(begun, "key"))
		}
		return err
	}
	if a.json {
		return errors.Join(err, a.document(rotated{Rotated: done, DryRun: dryRun}))
	}
	a.showRotated(done, dryRun)
	return err
}

func (a *app) showRotated(done vault.Rotated, dryRun bool) {
	verb, by := "sealed anew", "the key "+done.KeyID
	if dryRun {
		verb = "to seal anew"
	}
	if done.KeyID == "" {
		by = "a key that is drawn then"
	}
	sayf(a.out, "by %s:", by)
	for _, kind := range []struct {
		name   string
		counts vault.Resealed
	}{{"customers' keys", done.Customers}, {"the installation's keys", done.Installation}} {
		sayf(a.out, "  %s: %s %s, %s already, %s gone meanwhile", kind.name, humanize.Comma(int64(kind.counts.Resealed)), verb,
			humanize.Comma(int64(kind.counts.Already)), humanize.Comma(int64(kind.counts.Gone)))
	}
	for owner, why := range done.Failed {
		sayf(a.log, "%s: %s", owner, why)
	}
}

// servicesHave checks that all running services have the new key: without it they could open nothing until they are
// restarted.
func (a *app) servicesHave(ctx context.Context, rotation *vault.Rotation) error {
	target, _, err := rotation.Target(ctx)
	if err != nil {
		return err
	}
	on, err := a.connect()
	if err != nil {
		return fmt.Errorf("whether the running services have the new key cannot be asked (--force does without): %w", err)
	}
	defer on.close()
	running, err := runningServices(ctx, on)
	if err != nil {
		return err
	}
	var without []string
	for _, ping := range running {
		if !slices.Contains(strings.Split(ping.Metadata[service.MetadataKeys], ","), target) {
			without = append(without, ping.Name+" "+ping.ID)
		}
	}
	if len(without) > 0 {
		return fmt.Errorf("these services do not have the new key %s: %s; restart them with SECRETS_URL_NEXT, then rotate (--force does without)",
			target, strings.Join(without, ", "))
	}
	return nil
}
