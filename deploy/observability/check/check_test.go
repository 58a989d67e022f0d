package check_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	goparser "go/parser"
	"go/token"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const (
	root       = "../../.."
	observed   = ".."
	dashboards = observed + "/grafana/dashboards"
)

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return content
}

// metricsOfCode returns the names of rollcall's metrics that are in Go source outside of tests.
func metricsOfCode(t *testing.T) map[string]bool {
	t.Helper()
	name := regexp.MustCompile(`^rollcall_[a-z0-9_]+$`)
	found := map[string]bool{}
	for _, folder := range []string{"pkg", "services"} {
		require.NoError(t, filepath.WalkDir(filepath.Join(root, folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := goparser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(node ast.Node) bool {
				literal, ok := node.(*ast.BasicLit)
				if ok && literal.Kind == token.STRING {
					if text, err := strconv.Unquote(literal.Value); err == nil && name.MatchString(text) {
						found[text] = true
					}
				}
				return true
			})
			return nil
		}))
	}
	require.Contains(t, found, "rollcall_messages_total")
	return found
}

// othersMetrics are those of Prometheus' own client and of Prometheus.
var othersMetrics = []string{"up", "process_resident_memory_bytes", "process_cpu_seconds_total"}

// requireKnownMetrics parses an expression and checks each metric in it.
func requireKnownMetrics(t *testing.T, known map[string]bool, expression string) {
	t.Helper()
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	require.NoError(t, err, expression)
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		name := selector.Name
		for _, suffix := range []string{"_bucket", "_sum", "_count"} {
			if base, cut := strings.CutSuffix(name, suffix); cut && known[base] {
				name = base
			}
		}
		require.True(t, known[name] || slices.Contains(othersMetrics, name), "%s is no metric of the code: %s", name, expression)
		for _, matcher := range selector.LabelMatchers {
			require.NotEqual(t, "customer", matcher.Name, "the label is switched off: %s", expression)
		}
		return nil
	})
}

// anchorsOf returns the anchors of a document's headings, as GitHub makes them.
func anchorsOf(t *testing.T, document string) map[string]bool {
	t.Helper()
	anchors := map[string]bool{}
	dropped := regexp.MustCompile("[^a-z0-9 _-]")
	for line := range strings.Lines(string(read(t, filepath.Join(root, document)))) {
		if heading, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			text := dropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			anchors[strings.ReplaceAll(text, " ", "-")] = true
		}
	}
	return anchors
}

type dashboard struct {
	UID        string `json:"uid"`
	Title      string `json:"title"`
	Templating struct {
		List []struct{ Name, Type, Query string } `json:"list"`
	} `json:"templating"`
	Panels []panel `json:"panels"`
}

type panel struct {
	ID          int                        `json:"id"`
	Title       string                     `json:"title"`
	Datasource  struct{ Type, UID string } `json:"datasource"`
	FieldConfig struct {
		Defaults struct {
			Unit string `json:"unit"`
		} `json:"defaults"`
	} `json:"fieldConfig"`
	GridPos struct{ X, Y, W, H int } `json:"gridPos"`
	Targets []struct {
		Expr       string
		Datasource struct{ UID string }
	} `json:"targets"`
}

func readDashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob(dashboards + "/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	found := map[string]dashboard{}
	for _, file := range files {
		var one dashboard
		require.NoError(t, json.Unmarshal(read(t, file), &one), file)
		require.Equal(t, strings.TrimSuffix(filepath.Base(file), ".json"), one.UID, "the uid is the file's name, so that links stay")
		found[one.UID] = one
	}
	return found
}

func TestRulesAreAlertsWithWhatAnOperatorNeeds(t *testing.T) {
	t.Parallel()
	groups, errs := rulefmt.Parse(read(t, observed+"/rules.yml"), false, model.UTF8Validation, parser.NewParser(parser.Options{}), slog.New(slog.DiscardHandler))
	require.Empty(t, errs)
	known, anchors, boards := metricsOfCode(t), anchorsOf(t, "docs/operating.md"), readDashboards(t)
	name := regexp.MustCompile(`^Rollcall([A-Z][a-z]+)+$`)
	seen := map[string]bool{}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			require.Regexp(t, name, rule.Alert)
			require.False(t, seen[rule.Alert], rule.Alert)
			seen[rule.Alert] = true
			require.Contains(t, []string{"critical", "warning", "info"}, rule.Labels["severity"], rule.Alert)
			require.NotEmpty(t, rule.Annotations["summary"], rule.Alert)
			require.NotContains(t, rule.Annotations["summary"], "{{", "the summary of %s must be the same for all its alerts", rule.Alert)
			require.NotEmpty(t, rule.Annotations["description"], rule.Alert)
			_, anchor, _ := strings.Cut(rule.Annotations["runbook_url"], "docs/operating.md#")
			require.True(t, anchors[anchor], "%s: docs/operating.md has no %q", rule.Alert, anchor)
			_, board, _ := strings.Cut(rule.Annotations["dashboard_url"], "/d/")
			require.Contains(t, boards, board, rule.Alert)
			requireKnownMetrics(t, known, rule.Expr)
		}
	}
	require.NotEmpty(t, seen)
}

func TestDashboardsShowMetricsOfCodeWithUnits(t *testing.T) {
	t.Parallel()
	known := metricsOfCode(t)
	for uid, one := range readDashboards(t) {
		require.NotEmpty(t, one.Title)
		require.Len(t, one.Templating.List, 1, uid)
		require.Equal(t, "datasource", one.Templating.List[0].Name, uid)
		require.LessOrEqual(t, len(one.Panels), 12, "%s has few panels", uid)
		ids := map[int]bool{}
		taken := map[[2]int]string{}
		for _, shown := range one.Panels {
			require.False(t, ids[shown.ID], "%s: %s", uid, shown.Title)
			ids[shown.ID] = true
			require.NotEmpty(t, shown.FieldConfig.Defaults.Unit, "%s: %s", uid, shown.Title)
			require.Equal(t, "$datasource", shown.Datasource.UID, "%s: %s", uid, shown.Title)
			require.LessOrEqual(t, shown.GridPos.X+shown.GridPos.W, 24, "%s: %s", uid, shown.Title)
			for x := range shown.GridPos.W {
				for y := range shown.GridPos.H {
					at := [2]int{shown.GridPos.X + x, shown.GridPos.Y + y}
					require.Empty(t, taken[at], "%s: %s lies over another panel", uid, shown.Title)
					taken[at] = shown.Title
				}
			}
			require.NotEmpty(t, shown.Targets, "%s: %s", uid, shown.Title)
			for _, target := range shown.Targets {
				require.Equal(t, "$datasource", target.Datasource.UID)
				requireKnownMetrics(t, known, strings.ReplaceAll(target.Expr, "$__rate_interval", "1m"))
			}
		}
	}
}

// scrapes is what Prometheus' configuration may have here: a field that is not in it is not known.
type scrapes struct {
	Global struct {
		ScrapeInterval     model.Duration    `yaml:"scrape_interval"`
		EvaluationInterval model.Duration    `yaml:"evaluation_interval"`
		ExternalLabels     map[string]string `yaml:"external_labels"`
	} `yaml:"global"`
	RuleFiles     []string `yaml:"rule_files"`
	ScrapeConfigs []struct {
		JobName      string `yaml:"job_name"`
		DNSSDConfigs []struct {
			Names           []string       `yaml:"names"`
			Type            string         `yaml:"type"`
			Port            int            `yaml:"port"`
			RefreshInterval model.Duration `yaml:"refresh_interval"`
		} `yaml:"dns_sd_configs"`
		RelabelConfigs []struct {
			SourceLabels []string `yaml:"source_labels"`
			TargetLabel  string   `yaml:"target_label"`
		} `yaml:"relabel_configs"`
		StaticConfigs []struct {
			Targets []string `yaml:"targets"`
		} `yaml:"static_configs"`
	} `yaml:"scrape_configs"`
}

type compose struct {
	Services map[string]struct {
		Image    string         `yaml:"image"`
		Profiles []string       `yaml:"profiles"`
		Volumes  yaml.Node      `yaml:"volumes"`
		Health   map[string]any `yaml:"healthcheck"`
		Ports    []string       `yaml:"ports"`
	} `yaml:"services"`
	Volumes map[string]any `yaml:"volumes"`
}

func TestPrometheusScrapesEachServiceOfCompose(t *testing.T) {
	t.Parallel()
	var scraped scrapes
	decoder := yaml.NewDecoder(bytes.NewReader(read(t, observed+"/prometheus.yml")))
	decoder.KnownFields(true)
	require.NoError(t, decoder.Decode(&scraped))
	require.Equal(t, "rollcall", scraped.ScrapeConfigs[0].JobName)
	names := scraped.ScrapeConfigs[0].DNSSDConfigs[0].Names

	var all compose
	require.NoError(t, yaml.Unmarshal(read(t, root+"/docker-compose.yml"), &all))
	var expected []string
	for name, service := range all.Services {
		test, _ := service.Health["test"].([]any)
		if len(test) > 1 && test[1] == name && name != "sandbox" { // a service of rollcall has its program's health check
			expected = append(expected, name)
		}
	}
	require.ElementsMatch(t, expected, names)
}

func TestObservabilityChangesNothingOfPlainUp(t *testing.T) {
	t.Parallel()
	var all compose
	require.NoError(t, yaml.Unmarshal(read(t, root+"/docker-compose.yml"), &all))
	for _, name := range []string{"prometheus", "grafana", "mailpit"} {
		service := all.Services[name]
		require.Equal(t, []string{"observability"}, service.Profiles, name)
		require.Contains(t, service.Image, ":", name)
		for _, port := range service.Ports {
			require.True(t, strings.HasPrefix(port, "127.0.0.1:"), "%s is reached from this machine only", name)
		}
		require.NotContains(t, all.Volumes, name, "docker-compose 1.29 makes each volume that is named")
		var mounts []string
		require.NoError(t, service.Volumes.Decode(&mounts))
		for _, mount := range mounts {
			if path, _, named := strings.Cut(mount, ":"); named {
				require.FileExists(t, existing(t, filepath.Join(root, path)), mount)
			}
		}
	}
}

// existing returns a file of a folder, or the file itself.
func existing(t *testing.T, path string) string {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	if !info.IsDir() {
		return path
	}
	found := ""
	require.NoError(t, filepath.WalkDir(path, func(at string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			found = at
		}
		return err
	}))
	return found
}
