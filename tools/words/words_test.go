package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// lists writes the two files and returns their names.
func lists(t *testing.T, allowed string) (words, exceptions string) {
	t.Helper()
	folder := t.TempDir()
	words, exceptions = filepath.Join(folder, "words.txt"), filepath.Join(folder, "allowed.txt")
	for name, text := range map[string]string{words: "# words\ntold\n(is|are) none of\ntrap \\d+\n", exceptions: allowed} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return words, exceptions
}

func TestRejectedWordsAreFoundInCommentsNamesStringsAndDocuments(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{}
	for name, text := range map[string]string{
		"pkg/a/a.go":             "package a\n\n// Told says it.\nvar notTold = \"told\" // see trap 2\n\nvar toldest, retold int\n",
		"pkg/a/internal/db/b.go": "package db // told\n",
		"pkg/a/c.pb.go":          "package a // told\n",
		"pkg/a/testdata/d.md":    "told\n",
		"sql/migrations/1.sql":   "-- told\n",
		"sql/queries/q.sql":      "-- these are none of it\n",
		"CHANGELOG.md":           "## Unreleased\ntold\n## 0.1.0 - 2026\ntold\n",
		"docs/d.md":              "It was told.\n",
	} {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	for allowed, want := range map[string][]string{
		"": {
			`CHANGELOG.md:2: "told"`, `docs/d.md:1: "told"`, `pkg/a/a.go:3: "told"`, `pkg/a/a.go:4: "told"`, `pkg/a/a.go:4: "told"`, `pkg/a/a.go:4: "trap 2"`,
			`sql/queries/q.sql:1: "are none of"`,
		},
		"pkg/a/ * its words are still to be changed\nsql/ are_none_of quoted\ndocs/ told quoted\nCHANGELOG.md told quoted\nbench/ * none\n": {
			`tools/words/allowed.txt: bench/ * is not needed any more: remove the line`,
		},
	} {
		words, exceptions := lists(t, allowed)
		found, err := check(tree, words, exceptions)
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(found)
		if !slices.Equal(found, want) {
			t.Errorf("found\n%s\nnot\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
		}
	}
	words, exceptions := lists(t, "pkg/a/ told\n")
	if _, err := check(tree, words, exceptions); err == nil {
		t.Error("an exception without a reason was read")
	}
}
