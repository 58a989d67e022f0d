package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/config"
	"rollcall.dev/pkg/event"
)

// onlyInReadme are settings whose line in the README's table says all that an operator needs.
var onlyInReadme = map[string]string{
	"DATABASE_PASSWORD_FILE": "a connection", "NATS_USER": "a connection", "NATS_PASSWORD_FILE": "a connection", "NATS_CREDS": "a connection",
	"NATS_NKEY": "a connection", "NATS_CA": "a connection", "NATS_CERT": "a connection", "NATS_KEY": "a connection",
	"VOMO_BASE_URL": "a connection", "VOMO_REQUESTS_PER_SECOND": "each customer's limits are in its status",
	"VOMO_REQUESTS_PER_MINUTE": "each customer's limits are in its status", "LOG_LEVEL": "the log", "LOG_FORMAT": "the log",
}

// inFirstRelease are names of version 0.1.0 that the changelog does not list one by one.
var inFirstRelease = []string{
	"setting ALLOW_PRIVATE_DESTINATIONS", "setting BACKFILL_TRIES", "setting BACKFILL_TURN",
	"setting HTTP_ADDR", "setting LOG_FORMAT", "setting LOG_LEVEL", "setting NATS_CA", "setting NATS_CERT",
	"setting NATS_CREDS", "setting NATS_KEY", "setting NATS_NKEY", "setting NATS_REPLICAS", "setting NATS_URL", "setting ONBOARDING_SLOTS",
	"setting REQUIRE_SEALED_TOKENS", "setting VOMO_BASE_URL", "setting VOMO_REQUESTS_PER_MINUTE", "setting VOMO_REQUESTS_PER_SECOND",
	"code auth_failed", "code backfill_failed", "code backfill_unverified", "code destination_auth_failed", "code disabled", "code lane_wanted",
	"code not_before", "code quiet_hours", "code rewrite_unfinished", "code vomo_throttled",
}

// Each alert, reason, event, setting and command that exists, as the code has it, is named where people look for it.
func TestDocumentsNameEveryAlertReasonEventSettingAndCommand(t *testing.T) {
	t.Parallel()
	readme, runbook, changelog := fromRepository(t, "README.md"), fromRepository(t, "docs/operating.md"), fromRepository(t, "CHANGELOG.md")
	alerts := sectionOf(t, runbook, "## Alerts")
	first := map[string]bool{}
	for _, name := range inFirstRelease {
		first[name] = true
	}
	requireNamed := func(document, text, kind, name string) {
		if !strings.Contains(text, "`"+name+"`") {
			t.Errorf("%s does not name the %s %s", document, kind, name)
		}
	}
	inChangelog := func(kind, name string) {
		if named := hasWord(changelog, name); named == first[kind+" "+name] {
			t.Errorf("CHANGELOG.md names the %s %s: %t; the list of the first release has it: %t", kind, name, named, named)
		}
	}
	codes := explainedCodes(t)
	require.Greater(t, len(codes), 35)
	for code, isAlert := range codes {
		requireNamed("README.md", readme, "code", code)
		inChangelog("code", code)
		if isAlert {
			requireNamed("the runbook's section on alerts", alerts, "alert", code)
		} else {
			requireNamed("docs/operating.md", runbook, "reason", code)
		}
	}
	for _, name := range eventNames(t) {
		requireNamed("README.md", readme, "event", name)
	}
	for _, setting := range config.Settings() {
		requireNamed("README.md", readme, "setting", setting.Name)
		inChangelog("setting", setting.Name)
		if named := hasWord(runbook, setting.Name); named != (onlyInReadme[setting.Name] == "") {
			t.Errorf("docs/operating.md names the setting %s: %t", setting.Name, named)
		}
	}
	for document, text := range map[string]string{"README.md": readme, "docs/operating.md": runbook, "CHANGELOG.md": changelog} {
		documented := commandsIn(text)
		for _, path := range commandPaths() {
			if !documented[path] {
				t.Errorf("%s does not name the command %s", document, path)
			}
		}
	}
}

func hasWord(text, word string) bool { return regexp.MustCompile(`\b` + word + `\b`).MatchString(text) }

// The codes in testdata/names.txt are written by hand: none of package event's may be missing.
func TestListOfNamesHasEveryEventAlertAndReason(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	for line := range strings.Lines(string(testdata(t, namesFile))) {
		if fields := strings.Fields(line); fields[0] == "code" {
			listed[fields[2]] = true
		}
	}
	names := slices.Concat(slices.Collect(maps.Keys(explainedCodes(t))), eventNames(t))
	require.Greater(t, len(names), 60)
	for _, name := range names {
		if !listed[name] {
			t.Errorf("%s does not list %s", namesFile, name)
		}
	}
}

// eventNames returns the names of the events that package event has, such as "user.created".
func eventNames(t *testing.T) (names []string) {
	t.Helper()
	eventName := regexp.MustCompile(`^[a-z]+\.[a-z]+$`)
	for _, source := range sources(t, filepath.Join(repository, "pkg/event")) {
		ast.Inspect(parsed(t, strings.TrimPrefix(source, repository+"/")), func(node ast.Node) bool {
			if spec, ok := node.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
				if name, isText := textOf(t, spec.Values[0]); isText && eventName.MatchString(name) {
					names = append(names, name)
				}
			}
			return true
		})
	}
	return names
}

// sectionOf returns the text below a heading of the second level.
func sectionOf(t *testing.T, text, heading string) string {
	t.Helper()
	_, rest, found := strings.Cut(text, "\n"+heading+"\n")
	require.True(t, found, heading)
	section, _, _ := strings.Cut(rest, "\n## ")
	return section
}

// explainedCodes returns the codes for which package event has words, and whether each is an alert: those of alerts, of reasons to wait
// or to park, and of a status. Tests of event and job hold that none is missing there.
func explainedCodes(t *testing.T) map[string]bool {
	t.Helper()
	alerts, constants := map[string]bool{}, map[string]string{}
	explained := []string{"pkg/event/explain.go", "pkg/event/explain_giving.go", "pkg/event/explain_figures.go"}
	for _, path := range append([]string{"pkg/event/event.go", "pkg/window/window.go"}, explained...) {
		ast.Inspect(parsed(t, path), func(node ast.Node) bool {
			spec, ok := node.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if value, isText := textOf(t, spec.Values[0]); isText {
				constants[spec.Names[0].Name] = value
				alerts[value] = alerts[value] || strings.HasPrefix(spec.Names[0].Name, "Alert")
			}
			return true
		})
	}
	codes := map[string]bool{}
	for _, path := range explained {
		ast.Inspect(parsed(t, path), func(node ast.Node) bool {
			clause, ok := node.(*ast.CaseClause)
			if !ok {
				return true
			}
			for _, expression := range clause.List {
				code, isText := textOf(t, expression)
				switch expression := expression.(type) {
				case *ast.Ident:
					code, isText = constants[expression.Name], true
				case *ast.SelectorExpr:
					code, isText = constants[expression.Sel.Name], true
				}
				require.True(t, isText && code != "", "a case that is neither a text nor a constant")
				codes[code] = alerts[code]
			}
			return true
		})
	}
	return codes
}

func parsed(t *testing.T, path string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(repository, path), nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	return file
}

func textOf(t *testing.T, expression ast.Expr) (text string, isText bool) {
	t.Helper()
	literal, ok := expression.(*ast.BasicLit)
	if !ok || literal.Kind != token.STRING {
		return "", false
	}
	text, err := strconv.Unquote(literal.Value)
	require.NoError(t, err)
	return text, true
}

// commandPaths returns the commands that do something, such as "dlq ls".
func commandPaths() (paths []string) {
	var walk func(command *cobra.Command)
	walk = func(command *cobra.Command) {
		if len(command.Commands()) == 0 || strings.Contains(command.Use, " <") { // such as link <customer>, and link ls
			paths = append(paths, strings.TrimPrefix(command.CommandPath(), "rollcall "))
		}
		for _, below := range command.Commands() {
			walk(below)
		}
	}
	walk((&app{}).root())
	return paths
}

// commandInText is a command in a document: after "rollcall", or at the beginning of a piece of code. Its second word may be several,
// as in "dlq ls|show".
var commandInText = regexp.MustCompile("(?:`?(?:bin/)?rollcall |`)([a-z-]+)(?: ([a-z-]+(?:\\|[a-z-]+)*))?")

// commandsIn returns the commands that a text names.
func commandsIn(text string) map[string]bool {
	found := map[string]bool{}
	for _, command := range commandInText.FindAllStringSubmatch(text, -1) {
		found[command[1]] = true
		for second := range strings.SplitSeq(command[2], "|") {
			found[command[1]+" "+second] = true
		}
	}
	return found
}

var (
	// commandLine is a command of rollcall in a piece of code, or after a colon in a remedy.
	commandLine = regexp.MustCompile("(?:`|: |run |--rm |\n)(?:bin/)?rollcall ([a-z-]+)(?: ([a-z-]+(?:\\|[a-z-]+)*))?")
	// commandInPage is a command of rollcall that a page of the console shows.
	commandInPage = regexp.MustCompile(`"(rollcall [a-z-]+(?: [a-z]+)?)`)
	// settingInText is the name of a setting, or of something else in capitals.
	settingInText = regexp.MustCompile(`\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b`)
)

// otherNames are names in capitals that are no settings of the services.
var otherNames = map[string]string{
	"VAULT_SERVER_TOKEN": "the key service's", "POSTGRES_PASSWORD": "compose's", "NATS_JETSTREAM_KEY": "compose's", "NATS_PASSWORD": "compose's",
	"NATS_CONTEXT":   "the command's",
	"MAX_DELIVERIES": "the server's", "COMPOSE_FILE": "compose's", "BUILD_IMAGE": "compose's", "HTTPS_PROXY": "the environment's", "NO_PROXY": "the environment's",
	"OTEL_EXPORTER_OTLP_HEADERS": "OpenTelemetry's", "OTEL_RESOURCE_ATTRIBUTES": "OpenTelemetry's", "OTEL_TRACES_SAMPLER": "OpenTelemetry's",
	"PROMETHEUS_PORT": "compose's", "GRAFANA_PORT": "compose's", "MAILPIT_PORT": "compose's",
}

// An operator who follows a remedy must find the command and the setting that it names.
func TestRemediesAndDocumentsNameCommandsAndSettingsThatExist(t *testing.T) {
	t.Parallel()
	texts := map[string]string{}
	for code := range explainedCodes(t) {
		text, remedy := event.Explain(code)
		texts["the words of "+code] = text + " " + remedy
	}
	for _, document := range []string{"README.md", "docs/api.md", "docs/operating.md", "docs/architecture.md", "docs/guides.md", "docs/giving.md"} {
		texts[document] = fromRepository(t, document)
	}
	for _, page := range append(inRepository(t, ".templ"), "services/console/internal/pages/remedies.go") {
		for _, command := range commandInPage.FindAllStringSubmatch(fromRepository(t, page), -1) {
			texts[page] += "`" + command[1] + "` "
		}
	}
	require.NotEmpty(t, texts["services/console/internal/pages/remedies.go"])
	settings := map[string]bool{}
	for _, setting := range config.Settings() {
		settings[setting.Name] = true
	}
	commands := map[string]bool{}
	for _, path := range commandPaths() {
		commands[path] = true
		group, _, _ := strings.Cut(path, " ")
		commands[group+" "] = true // named without a second word
	}
	for _, place := range slices.Sorted(maps.Keys(texts)) {
		for _, name := range settingInText.FindAllString(texts[place], -1) {
			if !settings[name] && otherNames[name] == "" && !strings.HasPrefix(name, "ROLLCALL_") {
				t.Errorf("%s: %s is no setting", place, name)
			}
		}
		for _, command := range commandLine.FindAllStringSubmatch(withoutProse(texts[place]), -1) {
			for second := range strings.SplitSeq(command[2], "|") {
				if !commands[command[1]] && !commands[command[1]+" "+second] {
					t.Errorf("%s: %q is no command", place, command[0])
				}
			}
		}
	}
}

// withoutProse returns a text in which no sentence outside of code begins a line with the name of the command.
func withoutProse(text string) string {
	parts := strings.Split(text, "```")
	for i := 0; i < len(parts); i += 2 {
		parts[i] = strings.ReplaceAll(parts[i], "\nrollcall ", "\n rollcall ")
	}
	return strings.Join(parts, "```")
}
