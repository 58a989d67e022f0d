package job_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/event"
)

// TestEveryParkReasonHasTextAndRemedy reads the code itself, so that a reason that is added tomorrow cannot be forgotten:
// each Park that some package makes, and each reason of a window, is explained in a status.
func TestEveryParkReasonHasTextAndRemedy(t *testing.T) {
	t.Parallel()
	constants, parks := map[string]string{}, map[string]ast.Expr{}
	files := token.NewFileSet()
	for _, root := range []string{"..", "../../services"} {
		require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(files, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(node ast.Node) bool {
				switch node := node.(type) {
				case *ast.ValueSpec:
					noteConstants(constants, file.Name.Name, node)
				case *ast.CompositeLit:
					if reason := reasonOf(node); reason != nil {
						parks[files.Position(node.Pos()).String()+" "+file.Name.Name] = reason
					}
				}
				return true
			})
			return nil
		}))
	}
	codes := map[string]string{}
	for at, reason := range parks {
		code := valueOf(constants, at[strings.LastIndexByte(at, ' ')+1:], reason)
		require.NotEmpty(t, code, "the reason of the park at %s is a constant or a literal", at)
		codes[code] = at
	}
	for name, code := range constants { // a window's reasons, and what letters are held for by dlqretry itself
		if strings.HasPrefix(name, "window.Reason") {
			codes[code] = name
		}
	}
	require.GreaterOrEqual(t, len(codes), 8, "the search finds what there is: %v", codes)
	for code, at := range codes {
		text, remedy := event.Explain(code)
		require.NotContains(t, text, "Condition ", "%s, a reason to park (%s), has no words of its own in package event", code, at)
		require.NotEmpty(t, text, "%s (%s)", code, at)
		require.NotEmpty(t, remedy, "%s (%s)", code, at)
	}
}

// noteConstants notes the texts that a declaration names, as package.Name.
func noteConstants(constants map[string]string, of string, spec *ast.ValueSpec) {
	for i, name := range spec.Names {
		if i >= len(spec.Values) {
			return
		}
		if literal, ok := spec.Values[i].(*ast.BasicLit); ok && literal.Kind == token.STRING {
			constants[of+"."+name.Name], _ = strconv.Unquote(literal.Value)
		}
	}
}

// reasonOf is the reason of a Park that is made with one; nil for anything else.
func reasonOf(literal *ast.CompositeLit) ast.Expr {
	name := ""
	switch made := literal.Type.(type) {
	case *ast.Ident:
		name = made.Name
	case *ast.SelectorExpr:
		name = made.Sel.Name
	}
	if name != "Park" || len(literal.Elts) == 0 {
		return nil
	}
	for _, element := range literal.Elts {
		if pair, ok := element.(*ast.KeyValueExpr); ok {
			if key, ok := pair.Key.(*ast.Ident); ok && key.Name == "Reason" {
				return pair.Value
			}
			continue
		}
		return element
	}
	return nil
}

// valueOf returns the text of an expression; "" if that cannot be read from the code alone.
func valueOf(constants map[string]string, in string, reason ast.Expr) string {
	switch reason := reason.(type) {
	case *ast.BasicLit:
		text, _ := strconv.Unquote(reason.Value)
		return text
	case *ast.Ident:
		return constants[in+"."+reason.Name]
	case *ast.SelectorExpr:
		if of, ok := reason.X.(*ast.Ident); ok {
			return constants[of.Name+"."+reason.Sel.Name]
		}
	}
	return ""
}
