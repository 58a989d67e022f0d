package main

import (
	"bufio"
	"go/scanner"
	"go/token"
	"os"
	"path"
	"regexp"
	"strings"
	"unicode"
)

// piece is a text in which no rejected word may be.
type piece struct {
	line int
	text string
}

// readerOf returns how a file is read, or nil if the file is generated, has landed, or is none of ours.
func readerOf(file string) func([]byte) []piece {
	switch {
	case strings.HasPrefix(file, "sql/migrations/"), strings.Contains(file, "/internal/db/"), strings.Contains(file, "/internal/direct/"), strings.HasSuffix(file, ".pb.go"):
		return nil
	case path.Ext(file) == ".go":
		return goPieces
	case file == "CHANGELOG.md":
		return unreleased
	case path.Ext(file) == ".md", strings.HasPrefix(file, "sql/queries/"), strings.HasPrefix(file, "sql/direct/"), path.Ext(file) == ".proto":
		return linePieces
	}
	return nil
}

// goPieces returns a file's comments and string literals, and its names in parts: heldNotTold is "held Not Told".
func goPieces(content []byte) (pieces []piece) {
	files := token.NewFileSet()
	file := files.AddFile("", files.Base(), len(content))
	var s scanner.Scanner
	s.Init(file, content, nil, scanner.ScanComments)
	for {
		at, kind, text := s.Scan()
		switch kind {
		case token.EOF:
			return pieces
		case token.COMMENT, token.STRING:
			for i, line := range strings.Split(text, "\n") {
				pieces = append(pieces, piece{file.Line(at) + i, line})
			}
		case token.IDENT:
			pieces = append(pieces, piece{file.Line(at), inParts(text)})
		default:
		}
	}
}

// inParts puts a space before each part of a camelCase name.
func inParts(name string) string {
	var parts strings.Builder
	for i, r := range name {
		if i > 0 && unicode.IsUpper(r) {
			parts.WriteByte(' ')
		}
		parts.WriteRune(r)
	}
	return parts.String()
}

func linePieces(content []byte) (pieces []piece) {
	for i, line := range strings.Split(string(content), "\n") {
		pieces = append(pieces, piece{i + 1, line})
	}
	return pieces
}

// unreleased returns the lines of a changelog before its first released part, which is history.
func unreleased(content []byte) (pieces []piece) {
	released := regexp.MustCompile(`^## \d`)
	for _, one := range linePieces(content) {
		if released.MatchString(one.text) {
			break
		}
		pieces = append(pieces, one)
	}
	return pieces
}

func patternOf(words []string) *regexp.Regexp {
	return regexp.MustCompile(`(?i)\b(` + strings.Join(words, "|") + `)\b`)
}

// readLines returns a file's lines without comments (#) and empty ones.
func readLines(name string) ([]string, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // it was only read
	var lines []string
	for reading := bufio.NewScanner(file); reading.Scan(); {
		line := strings.TrimSpace(reading.Text())
		if line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines, nil
}
