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
	"rollcall.dev/pkg/operatoraudit"
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
		Long: `Seals the customers' and the installation's keys again with the key of SECRETS_URL_NEXT, or, with a Vault key, with
its newest version. It may be interrupted and run again. What the customers' keys have sealed (tokens, letters) does
not change.

Give SECRETS_URL_NEXT to all services and restart them first: they then open what either key sealed. In compose they
have a second key file from the start. The command reads DATABASE_URL, SECRETS_URL and SECRETS_URL_NEXT, as the
services do.`,
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
	if movesToKeyFile(settings) && !force {
		return errToKeyFile
	}
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
	if !dryRun && !force {
		if err := a.servicesHave(ctx, rotation); err != nil {
			return err
		}
	}
	done, err := a.runRotation(ctx, opened, rotation)
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

// runRotation runs a rotation, and audits it unless it changes nothing.
func (a *app) runRotation(ctx context.Context, opened *store.Store, rotation *vault.Rotation) (vault.Rotated, error) {
	if rotation.DryRun {
		return rotation.Run(ctx)
	}
	id, err := opened.NoteAct(ctx, store.Act{Operator: a.operator(), Via: store.ViaCommand, Verb: "secrets.rotate", Outcome: store.ActBegun})
	if err != nil {
		return vault.Rotated{}, err
	}
	done, err := rotation.Run(ctx)
	outcome := store.ActDone
	if err != nil {
		outcome = store.ActFailed
	}
	result, encoding := operatoraudit.ResultOf(map[string]int{
		"customersResealed": done.Customers.Resealed, "installationResealed": done.Installation.Resealed, "notOpened": len(done.Failed),
	})
	if noted := errors.Join(encoding, opened.EndAct(context.WithoutCancel(ctx), id, outcome, "", result)); noted != nil {
		sayf(a.log, "the outcome was not noted in the audit: %v", noted)
	}
	return done, err
}

var errToKeyFile = errors.New("SECRETS_URL_NEXT is a key file and SECRETS_URL is not, so a rotation would move the keys into the file: " +
	"set SECRETS_URL_NEXT to the new keeper, or to nothing if a Vault key is to be sealed again with its newest version (--force rotates to the file)")

// movesToKeyFile reports whether a rotation would move from a key service or a given key to a key file. In compose,
// SECRETS_URL_NEXT is a key file if the operator does not set it.
func movesToKeyFile(settings config.Config) bool {
	_, now := vault.KeyFile(settings.SecretsURL)
	_, next := vault.KeyFile(settings.SecretsURLNext)
	return next && !now
}

func (a *app) showRotated(done vault.Rotated, dryRun bool) {
	verb := "sealed anew"
	if dryRun {
		verb = "to seal anew"
	}
	sayf(a.out, "by the key %s:", done.KeyID)
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
	target, err := rotation.Target(ctx)
	if err != nil {
		return err
	}
	on, err := a.connect()
	if err != nil {
		return fmt.Errorf("whether the running services have the new key cannot be asked (--force does without): %w", err)
	}
	defer on.close()
	running, err := service.Running(ctx, on.Conn, on.Timeout)
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
