package cli

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/reflect/protoreflect"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/testkit"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// updateNames writes testdata/names.txt again, except for the codes, which are listed by hand.
var updateNames = flag.Bool("update-names", false, "write testdata/names.txt")

const namesFile = "testdata/names.txt"

// Names that others read: their scripts, consumers, dashboards and dumps break if one changes. A line is a kind and a name.
// A new name is added with -update-names; one that is missing has to be kept, or needs a migration of stored rows, a line in
// CHANGELOG, and a new list.
func TestNamesThatOthersReadStayAsTheyAre(t *testing.T) {
	t.Parallel()
	var listed, codes []string
	for line := range strings.Lines(string(testdata(t, namesFile))) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "code ") {
			codes = append(codes, line)
		} else {
			listed = append(listed, line)
		}
	}
	found := slices.Concat(settingNames(), busNames(t), messageNames(), tableNames(t), jsonNames(t), commandNames(), exitNames())
	slices.Sort(found)
	found = slices.Compact(found)
	if *updateNames {
		require.NoError(t, os.WriteFile(namesFile, []byte(strings.Join(slices.Concat(found, codes), "\n")+"\n"), 0o600))
		return
	}
	require.Equal(t, strings.Join(listed, "\n"), strings.Join(found, "\n"))

	literals := literalsInSource(t)
	require.NotEmpty(t, codes)
	for _, code := range codes {
		fields := strings.Fields(code)
		require.Len(t, fields, 3, code)
		require.True(t, literals[fields[2]], "%s is stored or shown, and no code has it any more", code)
	}
}

func testdata(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return text
}

func settingNames() (names []string) {
	settings := reflect.TypeFor[config.Config]()
	for field := range settings.Fields() {
		if name := field.Tag.Get("env"); name != "" {
			names = append(names, "setting "+name)
		}
	}
	return names
}

// busNames returns the names of streams, subjects, and durables with their filters.
func busNames(t *testing.T) (names []string) {
	t.Helper()
	js := testkit.NATS(t).JetStream(t)
	require.NoError(t, bus.Ensure(t.Context(), js, 1, config.Config{}.ClaimTimeout))
	streams := js.ListStreams(t.Context())
	for stream := range streams.Info() {
		names = append(names, "stream "+stream.Config.Name)
		for _, subject := range stream.Config.Subjects {
			names = append(names, "subject "+stream.Config.Name+" "+subject)
		}
		of, err := js.Stream(t.Context(), stream.Config.Name)
		require.NoError(t, err)
		consumers := of.ListConsumers(t.Context())
		for consumer := range consumers.Info() {
			filters := append(consumer.Config.FilterSubjects, consumer.Config.FilterSubject) //nolint:gocritic // one of them is empty
			names = append(names, strings.TrimSpace("durable "+stream.Config.Name+" "+consumer.Name+" "+strings.Join(filters, " ")))
		}
		require.NoError(t, consumers.Err())
	}
	require.NoError(t, streams.Err())
	return names
}

// messageNames are the JSON names of the messages on the bus.
func messageNames() (names []string) {
	for _, file := range []protoreflect.FileDescriptor{
		rollcallv1.File_rollcall_v1_event_proto, rollcallv1.File_rollcall_v1_onboarding_proto,
		rollcallv1.File_rollcall_v1_operator_proto, rollcallv1.File_rollcall_v1_work_proto, rollcallv1.File_rollcall_v1_giving_proto,
	} {
		for i := range file.Messages().Len() {
			message := file.Messages().Get(i)
			for j := range message.Fields().Len() {
				names = append(names, fmt.Sprintf("message %s %s", message.Name(), message.Fields().Get(j).JSONName()))
			}
		}
	}
	return names
}

// tableNames are those of tables and their columns; a partition is its table.
func tableNames(t *testing.T) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), testkit.Database(t))
	require.NoError(t, err)
	defer func() { _ = conn.Close(t.Context()) }()
	rows, err := conn.Query(t.Context(), `SELECT 'column ' || c.relname || ' ' || a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
		WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped`)
	require.NoError(t, err)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(t, err)
	return names
}

// jsonNames are the names in what the operators' API answers, and in what --json prints.
func jsonNames(t *testing.T) (names []string) {
	t.Helper()
	tag := regexp.MustCompile(`json:"([^",]+)`)
	for _, source := range sources(t, "../../../../pkg/operatorapi", "../../../../pkg/operatorclient", "../../../../pkg/report", ".") {
		for _, match := range tag.FindAllStringSubmatch(string(testdata(t, source)), -1) {
			names = append(names, "json "+match[1])
		}
	}
	return names
}

func commandNames() (names []string) {
	var walk func(command *cobra.Command)
	walk = func(command *cobra.Command) {
		names = append(names, "command "+command.CommandPath())
		command.LocalFlags().VisitAll(func(given *pflag.Flag) {
			names = append(names, "flag "+command.CommandPath()+" --"+given.Name)
		})
		for _, below := range command.Commands() {
			walk(below)
		}
	}
	walk((&app{}).root())
	return names
}

func exitNames() []string {
	return []string{
		fmt.Sprintf("exit %d done", exitDone), fmt.Sprintf("exit %d failed", exitFailed), fmt.Sprintf("exit %d usage", exitUsage),
	}
}

// literalsInSource returns the quoted texts in the product's Go code and queries.
func literalsInSource(t *testing.T) map[string]bool {
	t.Helper()
	literals := map[string]bool{}
	for _, source := range sources(t, "../../../../pkg", "../../..") {
		file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(file, func(node ast.Node) bool {
			if literal, ok := node.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				text, err := strconv.Unquote(literal.Value)
				require.NoError(t, err)
				literals[text] = true
			}
			return true
		})
	}
	quoted := regexp.MustCompile(`'([a-z0-9_]+)'`)
	queries, err := filepath.Glob("../../../../sql/queries/*.sql")
	require.NoError(t, err)
	for _, query := range queries {
		for _, match := range quoted.FindAllStringSubmatch(string(testdata(t, query)), -1) {
			literals[match[1]] = true
		}
	}
	return literals
}

// sources returns the hand-written Go files below these folders, without tests.
func sources(t *testing.T, folders ...string) (files []string) {
	t.Helper()
	for _, folder := range folders {
		require.NoError(t, filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
			generated := strings.Contains(path, "/internal/db/") || strings.Contains(path, "/testkit/")
			if err == nil && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") && !generated {
				files = append(files, path)
			}
			return err
		}))
	}
	return files
}
