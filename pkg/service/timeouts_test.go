package service

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A client that sends nothing, reads nothing, or leaves a connection idle must not keep it for ever.
func TestEveryHTTPServerInRepositoryHasTimeouts(t *testing.T) {
	t.Parallel()
	servers := 0
	for _, module := range []string{"../../pkg", "../../services", "../../bench"} {
		require.NoError(t, filepath.WalkDir(module, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(node ast.Node) bool {
				if call, ok := node.(*ast.CallExpr); ok {
					name, of := selected(call.Fun)
					serves := strings.HasPrefix(name, "ListenAndServe") ||
						strings.HasPrefix(name, "Serve") && name != "ServeContent" && name != "ServeFile"
					require.False(t, of == "http" && serves,
						"%s: http.%s has no timeouts", path, name)
				}
				made, ok := node.(*ast.CompositeLit)
				if !ok {
					return true
				}
				if name, of := selected(made.Type); of != "http" || name != "Server" {
					return true
				}
				servers++
				set := map[string]bool{}
				for _, element := range made.Elts {
					if pair, ok := element.(*ast.KeyValueExpr); ok {
						if key, ok := pair.Key.(*ast.Ident); ok {
							set[key.Name] = true
						}
					}
				}
				for _, timeout := range []string{"ReadHeaderTimeout", "ReadTimeout", "WriteTimeout", "IdleTimeout"} {
					require.True(t, set[timeout], "%s: an http.Server without %s", path, timeout)
				}
				return true
			})
			return nil
		}))
	}
	require.GreaterOrEqual(t, servers, 3, "the test must find the servers")
}

// selected returns the name and package of an expression such as http.Server.
func selected(expression ast.Expr) (name, of string) {
	selector, ok := expression.(*ast.SelectorExpr)
	if !ok {
		return "", ""
	}
	if from, ok := selector.X.(*ast.Ident); ok {
		of = from.Name
	}
	return selector.Sel.Name, of
}
