package store_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/testkit"
)

// scaleVariable says for how many customers the tests of this file generate rows: ten lines of the job log each, and as
// many mappings. By default they generate 10,000 customers; 100,000 are for a run by hand:
//
//	ROLLCALL_SCALE_CUSTOMERS=100000 go test -run Scale -v -timeout 60m rollcall.dev/pkg/store
const scaleVariable = "ROLLCALL_SCALE_CUSTOMERS"

// scaled is a database with generated rows, and its size.
func scaled(t *testing.T) (url string, conn *pgx.Conn, customers int) {
	t.Helper()
	customers = 10_000
	if wanted := os.Getenv(scaleVariable); wanted != "" {
		var err error
		customers, err = strconv.Atoi(wanted)
		require.NoError(t, err)
	}
	url = testkit.Database(t)
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	began := time.Now()
	generated, err := os.ReadFile("testdata/scale.sql")
	require.NoError(t, err)
	for statement := range strings.SplitSeq(string(generated), ";\n") {
		_, err := conn.Exec(t.Context(), strings.ReplaceAll(statement, "$1", strconv.Itoa(customers)))
		require.NoError(t, err, statement)
	}
	_, err = conn.Exec(t.Context(), `VACUUM ANALYZE`)
	require.NoError(t, err)
	t.Logf("%d customers, %d lines of the job log: generated in %s", customers, 10*customers, time.Since(began).Round(time.Millisecond))
	return url, conn, customers
}

// readWhole are queries whose purpose is to read a whole table, each with the reason.
var readWhole = map[string]string{
	"KeyIDCounts":         "a rotation counts every key",
	"AskedLately":         "counts those who were asked lately, up to a limit, and only while VOMO refuses several at once",
	"KeysAskedLately":     "as AskedLately, while Virtuous rejects several at once",
	"GivingReportsLatest": "here most reports are of the last day and a half; where they are of a year, their index by age is read",
	"OutboxDepth":         "counts what is not published: nothing, unless NATS is away",
	"OutboxForget":        "an offboarding deletes what is not published: nothing, unless NATS is away",
	"OffboardingCounts":   "a dry run counts what is not published, as OutboxDepth",
	"Backlog":             "doctor counts what is not published, as OutboxDepth",
}

// byValue are the values of queries that are planned by their values each time.
var byValue = map[string]string{
	// Of everybody it reads all customers, once a minute.
	"ConditionsFound": "false, '{c1}', '1 hour', '1 hour', '1 hour', '1 hour', 10",
	"LettersPage": "false, true, now(), " + strings.Repeat("NULL, ", 2) + "'00000000-0000-0000-0000-000000000000', 'c1', " +
		strings.Repeat("NULL, ", 6) + "'{}', '{}', 100",
	"LettersCount":  "true, now(), NULL, 'c1', " + strings.Repeat("NULL, ", 6) + "'{}', '{}'",
	"LettersByCode": "true, now(), NULL, 'c1', " + strings.Repeat("NULL, ", 6) + "'{}', '{}', 100",
	"ActsPage":      strings.Repeat("NULL, ", 5) + "100",
}

// statements are all queries of sql/queries and sql/direct as sqlc gives them to Postgres.
func statements(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("internal/d*/*.sql.go") // db and direct
	require.NoError(t, err)
	found := map[string]string{}
	named := regexp.MustCompile(`^-- name: (\w+) :`)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, err := strconv.Unquote(literal.Value)
				require.NoError(t, err)
				if name := named.FindStringSubmatch(text); name != nil {
					found[name[1]] = text
				}
			}
			return true
		})
	}
	require.Greater(t, len(found), 150)
	return found
}

// plan is a node of a plan.
type plan struct {
	Kind     string `json:"Node Type"`
	Relation string `json:"Relation Name"`
	Plans    []plan `json:"Plans"`
}

func (p plan) readsWhole(growing *regexp.Regexp) (relations []string) {
	if p.Kind == "Seq Scan" && growing.MatchString(p.Relation) {
		relations = append(relations, p.Relation)
	}
	for _, below := range p.Plans {
		relations = append(relations, below.readsWhole(growing)...)
	}
	return relations
}

func TestScaleNoQueryReadsAWholeTableThatGrows(t *testing.T) {
	t.Parallel()
	_, conn, _ := scaled(t)
	defer func() { require.NoError(t, conn.Close(t.Context())) }()
	growing := regexp.MustCompile(`^(` + large + `|user_mappings_p\d+|alert_arrivals|operator_audit|mapping_archives)$`)
	for name, statement := range statements(t) {
		_, err := conn.Exec(t.Context(), "PREPARE planned AS "+statement, pgx.QueryExecModeSimpleProtocol)
		require.NoError(t, err, name)
		var count int
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT cardinality(parameter_types) FROM pg_prepared_statements WHERE name = 'planned'`).Scan(&count))
		mode, values := "force_generic_plan", strings.TrimSuffix(strings.Repeat("NULL, ", count), ", ")
		if given, ok := byValue[name]; ok {
			mode, values = "force_custom_plan", given
		}
		if count > 0 {
			values = "(" + values + ")"
		}
		_, err = conn.Exec(t.Context(), "SET plan_cache_mode = "+mode)
		require.NoError(t, err)
		var explained []byte
		require.NoError(t, conn.QueryRow(t.Context(), "EXPLAIN (FORMAT JSON) EXECUTE planned"+values, pgx.QueryExecModeSimpleProtocol).Scan(&explained), name)
		var plans []struct{ Plan plan }
		require.NoError(t, json.Unmarshal(explained, &plans))
		relations := plans[0].Plan.readsWhole(growing)
		if _, allowed := readWhole[name]; allowed {
			if len(relations) == 0 {
				t.Errorf("%s reads no whole table any more: take it off the list", name)
			}
		} else if len(relations) > 0 {
			t.Errorf("%s reads all of %v", name, relations)
		}
		_, err = conn.Exec(t.Context(), "DEALLOCATE planned")
		require.NoError(t, err)
	}
}
