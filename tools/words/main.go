// Command words fails if a rejected word is in a hand-written Go comment, name or string literal, in a query, or in a document.
// It reads words.txt and allowed.txt beside it, and is run from the repository's root:
//
//	go -C tools run ./words ..
//
// It looks at whole words, and at whole parts of camelCase names.
package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	root := "."
	if len(os.Args) > 1 {
		root = os.Args[1]
	}
	found, err := check(os.DirFS(root), filepath.Join("words", "words.txt"), filepath.Join("words", "allowed.txt"))
	if err != nil {
		fmt.Fprintln(os.Stderr, "words:", err)
		os.Exit(1)
	}
	for _, line := range found {
		fmt.Println(line)
	}
	if len(found) > 0 {
		fmt.Fprintln(os.Stderr, "words: say it in other words, or add the place to tools/words/allowed.txt with its reason")
		os.Exit(1)
	}
}

// check returns a line for each place that has a rejected word, and for each exception that nothing needs.
func check(tree fs.FS, wordsFile, allowedFile string) ([]string, error) {
	rejected, err := readLines(wordsFile)
	if err != nil {
		return nil, err
	}
	allowed, err := readExceptions(allowedFile)
	if err != nil {
		return nil, err
	}
	pattern := patternOf(rejected)
	var found []string
	err = fs.WalkDir(tree, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name := entry.Name(); path != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "bin") {
				return fs.SkipDir
			}
			return nil
		}
		read := readerOf(path)
		if read == nil {
			return nil
		}
		content, err := fs.ReadFile(tree, path)
		if err != nil {
			return err
		}
		for _, piece := range read(content) {
			for _, word := range pattern.FindAllString(piece.text, -1) {
				word = strings.ToLower(word)
				if !allowed.covers(path, word) {
					found = append(found, fmt.Sprintf("%s:%d: %q", path, piece.line, word))
				}
			}
		}
		return nil
	})
	return append(found, allowed.unused()...), err
}
