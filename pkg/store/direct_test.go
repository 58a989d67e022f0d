package store_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every caller can run the statements of sql/direct. Tables that a lease or another rule of this package guards are written by
// sql/queries, which only methods of this package run.
func TestDirectStatementsWriteToNoGuardedTable(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../sql/direct/*.sql")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	writes := regexp.MustCompile(`(?i)\b(?:insert\s+into|update|delete\s+from|merge\s+into|truncate)\s+(\w+)`)
	locks := regexp.MustCompile(`(?i)advisory|\bfor\s+(?:no\s+key\s+)?(?:share|key|update)\b(?:\s+skip\s+locked)?`)
	unguarded := []string{"access_grants", "alert_arrivals", "console_sessions", "customer_budgets", "idempotency_keys", "message_attempts", "notifications"}
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		statements := regexp.MustCompile(`(?m)^\s*--.*$`).ReplaceAllString(string(content), "")
		statements = regexp.MustCompile(`(?i)\bdo\s+update\s+set\b`).ReplaceAllString(statements, "") // of the table that is inserted into
		for _, lock := range locks.FindAllString(statements, -1) {
			require.Regexp(t, `(?i)skip\s+locked$`, lock, "%s: a lock that lasts until the end of the statement is of no use to a caller", file)
		}
		statements = locks.ReplaceAllString(statements, "")
		for _, write := range writes.FindAllStringSubmatch(statements, -1) {
			require.True(t, slices.Contains(unguarded, write[1]), "%s writes to %s", file, write[1])
		}
	}
}
