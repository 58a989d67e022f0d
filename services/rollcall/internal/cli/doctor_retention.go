package cli

import (
	"context"
	"time"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/retention"
	"rollcall.dev/pkg/store"
)

// retention says for each thing that grows how long it is kept, by which setting, and what it takes on disk now.
func (c *checker) retention(ctx context.Context, opened *store.Store) []finding {
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	rules := retention.Rules(c.settings)
	var tables []string
	for _, rule := range rules {
		if rule.Table != "" {
			tables = append(tables, rule.Table)
		}
	}
	sizes, err := opened.TableSizes(bounded, tables)
	if err != nil {
		return []finding{failed("retention", "Look at the server's log.", "%v", err)}
	}
	var findings []finding
	for _, rule := range rules {
		size := ""
		if rule.Table != "" {
			size = "; " + rule.Table + " takes " + bus.Size(sizes[rule.Table])
		}
		findings = append(findings, ok("retention", "%s: %s (%s)%s", rule.What, keptFor(rule), rule.Setting, size))
	}
	archived := "never archived"
	if c.settings.ArchiveAfter > 0 {
		archived = "archived after " + days(c.settings.ArchiveAfter)
	}
	findings = append(findings, ok("retention", "mappings of inactive customers: %s (ARCHIVE_AFTER)", archived))
	used, err := opened.AuditDefaultUsed(bounded)
	switch {
	case err != nil:
		findings = append(findings, failed("retention", "Look at the server's log.", "%v", err))
	case used:
		findings = append(findings, warning("retention", "The services move the lines of past months. If this stays for longer than a month, look for "+
			"\"the audit's months were not made\" in their logs.", "the audit, or the log of reconciliations with Virtuous, has lines outside of its months"))
	}
	return findings
}

func keptFor(rule retention.Rule) string {
	switch {
	case rule.Age > 0:
		return "kept for " + days(rule.Age)
	case rule.Always:
		return "deleted at once"
	}
	return "kept for ever"
}

// days writes a time as days if it has whole ones.
func days(age time.Duration) string {
	const day = 24 * time.Hour
	if age%day == 0 {
		return counted(int64(age/day), "day")
	}
	return seconds(int64(age / time.Second))
}
