package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

const (
	organisationPolled = "polled"
	// usersPolled is how many users the organisation of the customers has who are only polled.
	usersPolled = 30
	// cadence is as long as it can be, in minutes: no customer is due again within a round.
	cadence = 7 * 24 * 60
)

// addPolled adds customers of one organisation in the state after their first backfill, in whose organisation nothing happens. None is
// due for a year. Onboarding a thousand of them would take longer than what is measured.
func (i *installation) addPolled(ctx context.Context, count int) (err error) {
	if err := i.sandbox.organise(ctx, organisationPolled, usersPolled); err != nil {
		return err
	}
	if i.polled, err = i.namesOfPolled(ctx, count); err != nil {
		return err
	}
	from, err := store.Open(ctx, i.url, store.Options{})
	if err != nil {
		return err
	}
	defer from.Close()
	keeper, err := vault.OpenKeeper(ctx, i.secrets())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, keeper.Close()) }()
	sealer := &vault.Vault{Keeper: keeper, Keys: from}
	tokens := make([][]byte, count)
	group, grouped := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for number := range count {
		group.Go(func() (err error) {
			tokens[number], err = sealer.Seal(grouped, i.polled[number], store.CredentialVomoToken, []byte(i.sandbox.token(organisationPolled)))
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("seal tokens: %w", err)
	}
	return i.environment.postgres.with(ctx, i.name, func(conn *pgx.Conn) error {
		batch := &pgx.Batch{}
		for number, token := range tokens {
			name := i.polled[number]
			batch.Queue(`
				WITH config AS (
					INSERT INTO sync_configs (customer_id, external_system_url, destination, poll_cadence_minutes, onboarded_at, updated_at,
						backfill_completed_at, active_since, next_poll_at, next_reconcile_at)
					SELECT $1, $2, jsonb_build_object('kind', 'rest', 'url', $2::text), $3, now(), now(), now(), now(),
						now() + interval '1 year', now() + interval '1 year'
				), secret AS (
					INSERT INTO credentials SELECT $1, 'vomo_token', $4, now()
				)
				INSERT INTO sync_checkpoints SELECT $1, 'user_sync', now(), now()`, name, i.sandbox.crm(name), cadence, token)
		}
		if err := conn.SendBatch(ctx, batch).Close(); err != nil {
			return fmt.Errorf("add customers: %w", err)
		}
		_, err := conn.Exec(ctx, "VACUUM ANALYZE")
		return err
	})
}

// namesOfPolled returns names of customers whose time in the cadence, which follows from the name, does not come soon.
func (i *installation) namesOfPolled(ctx context.Context, count int) (names []string, err error) {
	err = i.environment.postgres.with(ctx, i.name, func(conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, `
			SELECT name FROM (SELECT 'polled-' || lpad(number::text, 7, '0') AS name FROM generate_series(1, 2 * $1 + 100) number) n
			WHERE next_poll_slot(name, $2, now()) > now() + interval '3 hours' ORDER BY name LIMIT $1`, count, cadence)
		if err != nil {
			return err
		}
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return err
	})
	if err == nil && len(names) != count {
		err = fmt.Errorf("there are %d of %d", len(names), count)
	}
	if err != nil {
		return nil, fmt.Errorf("choose names: %w", err)
	}
	return names, nil
}

// countPolls counts the polls that have ended.
const countPolls = `SELECT count(*) FROM job_log WHERE job = 'user_sync_poll' AND completed_at IS NOT NULL`

// requireIdlePolls checks that so many polls have ended, each well, and that none found a user.
func (i *installation) requireIdlePolls(ctx context.Context, wanted int) error {
	good, err := i.number(ctx, countPolls+` AND outcome = 'success' AND processed_count = 0 AND customer_id LIKE 'polled-%'`)
	if err != nil {
		return fmt.Errorf("count polls: %w", err)
	}
	if int(good) != wanted {
		return fmt.Errorf("%.0f of %d polls ended well and found nothing", good, wanted)
	}
	return nil
}
