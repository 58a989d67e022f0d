package main

import (
	"fmt"
	"strings"
)

// exception allows a word, or every word (*), in the files whose path begins so.
type exception struct {
	prefix, word string
	used         bool
}

type exceptions []*exception

// readExceptions reads lines of: path prefix, word with _ for its spaces, reason.
func readExceptions(name string) (exceptions, error) {
	lines, err := readLines(name)
	if err != nil {
		return nil, err
	}
	var all exceptions
	for _, line := range lines {
		fields := strings.Fields(line)
		if len(fields) < 3 {
			return nil, fmt.Errorf("%s: %q has no path, word and reason", name, line)
		}
		all = append(all, &exception{prefix: fields[0], word: strings.ReplaceAll(fields[1], "_", " ")})
	}
	return all, nil
}

func (e exceptions) covers(path, word string) bool {
	for _, one := range e {
		if strings.HasPrefix(path, one.prefix) && (one.word == "*" || one.word == word) {
			one.used = true
			return true
		}
	}
	return false
}

// unused returns a line for each exception that no place needs any more.
func (e exceptions) unused() (lines []string) {
	for _, one := range e {
		if !one.used {
			lines = append(lines, fmt.Sprintf("tools/words/allowed.txt: %s %s is not needed any more: remove the line", one.prefix, one.word))
		}
	}
	return lines
}
