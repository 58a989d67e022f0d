package cli

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"rollcall.dev/pkg/store"
	"rollcall.dev/pkg/vault"
)

const (
	oldestPostgres = 15_00_00
	// How long things may wait before doctor reports them: longer than a restart of the services.
	outboxPatience  = time.Minute
	workPatience    = 5 * time.Minute
	keySample       = 5
	fullConnections = 0.8
)

func sortedKeys[V any](of map[string]V) []string { return slices.Sorted(maps.Keys(of)) }

func (c *checker) postgres(ctx context.Context) []finding {
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	opened, err := openStore(bounded, c.settings)
	if err != nil {
		remedy := "Check DATABASE_URL, and that Postgres runs and lets this machine in."
		if errors.Is(err, store.ErrTransactionPooler) {
			remedy = "Name Postgres itself in DATABASE_URL, or a pooler with pool_mode=session."
		}
		return append([]finding{failed("postgres", remedy, "%v", err)},
			skipped("Postgres is not reached", "postgres clock", "schema", "secrets", "backlog", "retention")...)
	}
	defer opened.Close()
	findings := c.server(ctx, opened)
	schema := c.schema(ctx)
	findings = append(findings, schema)
	if schema.State != findingOK {
		return append(findings, skipped("the schema is not current", "secrets", "backlog", "retention")...)
	}
	findings = append(findings, c.secrets(ctx, opened)...)
	findings = append(findings, c.backlog(ctx, opened)...)
	return append(findings, c.retention(ctx, opened)...)
}

func (c *checker) server(ctx context.Context, opened *store.Store) []finding {
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	asked := time.Now()
	facts, err := opened.ServerFacts(bounded)
	if err != nil {
		return []finding{failed("postgres", "Look at the server's log.", "%v", err)}
	}
	findings := []finding{clock("postgres clock", asked, time.Now(), facts.Clock)}
	major := facts.Version / 10_000
	switch {
	case facts.Version < oldestPostgres:
		return append(findings, failed("postgres", "Update the server to version 15 or newer.", "the server is version %d", major))
	case float64(facts.Connections) > fullConnections*float64(facts.MaxConnections):
		return append(findings, warning("postgres", "Raise max_connections, or run fewer replicas: each takes up to 16.",
			"version %d; %d of %d connections are taken", major, facts.Connections, facts.MaxConnections))
	}
	return append(findings, ok("postgres", "version %d; %d of %d connections are taken", major, facts.Connections, facts.MaxConnections))
}

func (c *checker) schema(ctx context.Context) finding {
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err := store.CheckSchema(bounded, c.settings.DatabaseURL)
	switch {
	case errors.Is(err, store.ErrSchemaOlder):
		return failed("schema", "Run `rollcall migrate`.", "is older than this program")
	case err != nil:
		return failed("schema", "Look at the server's log.", "%v", err)
	}
	return ok("schema", "is current")
}

func (c *checker) secrets(ctx context.Context, opened *store.Store) []finding {
	const remedy = "Set SECRETS_URL (and SECRETS_URL_NEXT) as the services have it. Without the key that sealed them, stored credentials are lost: " +
		"bring it back from its backup."
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	keeper, err := openKeeper(bounded, c.settings)
	if err != nil {
		return []finding{failed("secrets", remedy, "%v", err)}
	}
	defer func() { _ = keeper.Close() }() // nothing was changed with it
	probed, err := vault.Probe(bounded, keeper, opened, keySample)
	if err != nil {
		return []finding{failed("secrets", remedy, "%v", err)}
	}
	var findings []finding
	for _, owner := range sortedKeys(probed.Failed) {
		findings = append(findings, failed("secrets", remedy, "%s: %s", owner, probed.Failed[owner]))
	}
	if probed.Unable {
		findings = append(findings, failed("secrets", remedy, "the key that seals what is new is not there"))
	}
	if probed.Stale > 0 {
		findings = append(findings, warning("secrets", "Run `rollcall secrets rotate` again: it goes on.",
			"a rotation has not come to its end: %s still sealed by another key", counted(probed.Stale, "key")))
	}
	if len(findings) > 0 {
		return findings
	}
	return []finding{ok("secrets", "the keeper opens what it should (%s tried)", counted(probed.Opened, "key"))}
}

func (c *checker) backlog(ctx context.Context, opened *store.Store) []finding {
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	backlog, err := opened.Backlog(bounded)
	if err != nil {
		return []finding{failed("backlog", "Look at the server's log.", "%v", err)}
	}
	var findings []finding
	if backlog.Outbox.Oldest > outboxPatience {
		findings = append(findings, failed("backlog", "Look at the services' logs: any of them publishes the outbox when NATS takes it.",
			"%s to publish, the first since %s", counted(backlog.Outbox.Count, "message"), since(backlog.Outbox)))
	}
	if backlog.Runs.Oldest > workPatience {
		findings = append(findings, warning("backlog", "Start more backfill services, or look at the log of those that run.",
			"%s due that no service has taken up, the first since %s", counted(backlog.Runs.Count, "backfill"), since(backlog.Runs)))
	}
	if backlog.Requests.Oldest > workPatience {
		findings = append(findings, warning("backlog", "Look whether VOMO answers, and at the log of the onboarding service.",
			"%s pending, the first since %s", counted(backlog.Requests.Count, "onboarding request"), since(backlog.Requests)))
	}
	if len(findings) > 0 {
		return findings
	}
	return []finding{ok("backlog", "nothing waits for long: %s to publish, %s to begin, %s pending", counted(backlog.Outbox.Count, "message"),
		counted(backlog.Runs.Count, "backfill"), counted(backlog.Requests.Count, "request"))}
}

func since(waiting store.Waiting) string { return seconds(int64(waiting.Oldest.Seconds())) }
