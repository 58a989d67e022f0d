package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// repository is the root of the repository, as seen from this folder.
const repository = "../../../.."

// inRepository returns the files with that ending by their path from the root, without what was built or downloaded.
func inRepository(t *testing.T, ending string) (paths []string) {
	t.Helper()
	require.NoError(t, fs.WalkDir(os.DirFS(repository), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && path != "." && (strings.HasPrefix(name, ".") || name == "bin") {
			return fs.SkipDir
		}
		if !entry.IsDir() && strings.HasSuffix(path, ending) {
			paths = append(paths, path)
		}
		return nil
	}))
	return paths
}

func fromRepository(t *testing.T, path string) string {
	t.Helper()
	return string(testdata(t, filepath.Join(repository, path)))
}

// testNames returns the tests and fuzz tests of all modules.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, path := range inRepository(t, "_test.go") {
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(repository, path), nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, declaration := range file.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if ok && function.Recv == nil && namedTest.MatchString("`"+function.Name.Name+"`") {
				names[function.Name.Name] = true
			}
		}
	}
	return names
}

// namedTest is a test as a document names it.
var namedTest = regexp.MustCompile("`((?:Test|Fuzz)[A-Z0-9][A-Za-z0-9_]*)`")

// missingTests returns the tests that a text names and that do not exist.
func missingTests(text string, existing map[string]bool) (missing []string) {
	for _, name := range namedTest.FindAllStringSubmatch(text, -1) {
		if !existing[name[1]] {
			missing = append(missing, name[1])
		}
	}
	return missing
}

// A test that is renamed or removed is to be renamed or replaced in the documents, too.
func TestTestsThatDocumentsNameExist(t *testing.T) {
	t.Parallel()
	existing := testNames(t)
	require.Greater(t, len(existing), 1000)
	require.True(t, existing[t.Name()])
	require.Equal(t, []string{"TestThatDoesNotExist"}, missingTests("held by `"+t.Name()+"` and `TestThatDoesNotExist`", existing))
	for _, document := range inRepository(t, ".md") {
		require.Empty(t, missingTests(fromRepository(t, document), existing), "%s names tests that do not exist", document)
	}
}

// sentenceTable is the head of a table in docs/guides.md that says, for each sentence of a guide, where it is implemented and what holds it.
const sentenceTable = "| the guide's sentence | where | tests |"

// A row whose sentence is not true yet says `later` instead of a test.
func TestEachSentenceOfTheGuideHasATestOrIsLater(t *testing.T) {
	t.Parallel()
	rows, later, inTable := 0, 0, false
	for line := range strings.Lines(fromRepository(t, "docs/guides.md")) {
		line = strings.TrimSpace(line)
		inTable = line == sentenceTable || inTable && strings.HasPrefix(line, "|")
		if !inTable || line == sentenceTable || strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), " | ")
		require.Len(t, cells, 3, line)
		rows++
		if strings.HasPrefix(strings.TrimSpace(cells[2]), "later") {
			later++
			continue
		}
		require.Regexp(t, namedTest, cells[2], "no test is named: %s", line)
	}
	require.Greater(t, rows, 100)
	require.Less(t, later, 10)
}

var (
	markdownLink  = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	anchorInCode  = regexp.MustCompile(`(docs/[a-z/0-9-]+\.md)#([a-z0-9-]+)`)
	notInAnAnchor = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors returns the anchors of a document's headings.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	fenced := false
	for line := range strings.Lines(text) {
		fenced = fenced != strings.HasPrefix(line, "```")
		if heading := strings.TrimLeft(line, "#"); !fenced && heading != line {
			heading = notInAnAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(heading)), "")
			found[strings.ReplaceAll(heading, " ", "-")] = true
		}
	}
	return found
}

// Links lead to files and headings that exist: in documents, and in the comments of the code.
func TestLinksInDocumentsAndCommentsLeadSomewhere(t *testing.T) {
	t.Parallel()
	headings := map[string]map[string]bool{}
	documents := inRepository(t, ".md")
	for _, document := range documents {
		headings[document] = anchors(fromRepository(t, document))
	}
	links := 0
	for _, document := range documents {
		for _, link := range markdownLink.FindAllStringSubmatch(fromRepository(t, document), -1) {
			path, anchor, _ := strings.Cut(link[1], "#")
			if strings.Contains(path, "://") {
				continue
			}
			links++
			target := document
			if path != "" {
				target = filepath.Join(filepath.Dir(document), path)
			}
			_, err := os.Stat(filepath.Join(repository, target))
			require.NoError(t, err, "%s links to %s", document, link[1])
			require.True(t, anchor == "" || headings[target][anchor], "%s links to %s, which has no such heading", document, link[1])
		}
	}
	require.Greater(t, links, 100)
	for _, source := range slices.Concat(inRepository(t, ".go"), inRepository(t, ".sql"), inRepository(t, ".proto")) {
		for _, link := range anchorInCode.FindAllStringSubmatch(fromRepository(t, source), -1) {
			require.True(t, headings[link[1]][link[2]], "%s refers to %s, which has no such heading", source, link[0])
		}
	}
}
