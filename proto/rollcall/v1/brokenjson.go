package rollcallv1

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// byteOrderMark is what some editors write at the start of a file. It has no meaning in UTF-8.
const byteOrderMark = "\ufeff"

// TrimByteOrderMark returns data without a leading byte order mark.
func TrimByteOrderMark(data []byte) []byte { return bytes.TrimPrefix(data, []byte(byteOrderMark)) }

// DescribeBrokenJSON returns which kind of character makes data invalid JSON, and at which byte, counted from 1; ""
// if data is valid JSON. It never quotes data, which may contain a token or personal data. A leading byte order mark
// is allowed.
func DescribeBrokenJSON(data []byte) string {
	text := TrimByteOrderMark(data)
	mark := len(data) - len(text)
	switch {
	case bytes.HasPrefix(data, []byte{0xff, 0xfe}) || bytes.HasPrefix(data, []byte{0xfe, 0xff}):
		return "is not JSON: it is written in UTF-16; save it as UTF-8"
	case !utf8.Valid(data):
		at := invalidUTF8(text)
		return fmt.Sprintf("is not valid UTF-8: %s does not belong to a character", place(text, at, mark))
	case json.Valid(text):
		return ""
	case len(bytes.TrimSpace(text)) == 0:
		return "is not JSON: it is empty"
	}
	// The NUL at the end distinguishes truncated JSON from a wrong last character.
	var syntax *json.SyntaxError
	if err := json.Unmarshal(append(bytes.Clone(text), 0), &json.RawMessage{}); !errors.As(err, &syntax) {
		return "is not JSON" // cannot happen: invalid JSON has a syntax error
	}
	at := int(syntax.Offset) - 1
	if at >= len(text) {
		return "is not JSON: it ends too early, after " + place(text, len(text)-1, mark) + hint(text, len(text), mark)
	}
	what, at := offender(text, at)
	return "is not JSON: " + what + " at " + place(text, at, mark) + hint(text, at, mark)
}

// offender returns the kind and the place of the character that causes the error. If parsing failed at a closing
// bracket after a comma, the comma is wrong, so it returns the comma's place.
func offender(text []byte, at int) (kind string, where int) {
	char, _ := utf8.DecodeRune(text[at:])
	if char == '}' || char == ']' {
		before := bytes.TrimRight(text[:at], " \t\r\n")
		if last := len(before) - 1; last >= 0 && before[last] == ',' {
			return "a comma before a closing bracket", last
		}
	}
	if at > 0 && text[at-1] == '\\' {
		return "a backslash before a character that needs none", at - 1
	}
	return kindOf(char), at
}

// kindOf returns the kind of a character that JSON does not allow in its place.
func kindOf(char rune) string {
	switch {
	case isTypographicQuote(char):
		return "a typographic quotation mark"
	case char == '"':
		return "a quotation mark that nothing separates from what is before it"
	case char == '\'', char == '`':
		return "a single quotation mark"
	case char == '\n', char == '\r':
		return "a line break inside a text"
	case char == '\t':
		return "a tab inside a text"
	case char == '\ufeff', unicode.Is(unicode.Cf, char):
		return "an invisible character"
	case unicode.IsSpace(char):
		return "a space that is not a plain one"
	case unicode.IsControl(char):
		return "a control character"
	case strings.ContainsRune("{}[]", char):
		return "a bracket that does not belong there"
	case char == ',':
		return "a comma that does not belong there"
	case char == ':':
		return "a colon that does not belong there"
	case char == '/', char == '#':
		return "a slash or number sign (JSON has no comments)"
	case unicode.IsLetter(char), char == '_':
		return "a letter outside quotation marks"
	case unicode.IsDigit(char):
		return "a digit that does not belong there"
	case char >= utf8.RuneSelf:
		return "a character outside ASCII and outside quotation marks"
	}
	return "a sign that does not belong there"
}

// isTypographicQuote reports whether char is a quotation mark of word processors, or a character that looks like one.
func isTypographicQuote(char rune) bool {
	switch char {
	case '\u00ab', '\u00bb', '\u2018', '\u2019', '\u201a', '\u201b', '\u201c', '\u201d', '\u201e', '\u201f', '\u2032', '\u2033', '\u2039',
		'\u203a', '\u300c', '\u300d', '\u301d', '\u301e', '\u301f', '\uff02', '\uff07':
		return true
	}
	return false
}

// hint returns what to write, or which quotation mark before the error may have caused it: a text that starts with a
// plain mark and ends with a typographic one extends to the next plain mark.
func hint(text []byte, at, mark int) string {
	if char, _ := utf8.DecodeRune(text[min(at, len(text)):]); isTypographicQuote(char) || char == '\'' || char == '`' {
		return `; JSON takes plain double quotation marks only`
	}
	if last := bytes.LastIndexFunc(text[:min(at, len(text))], isTypographicQuote); last >= 0 {
		return "; before it, a typographic quotation mark at " + place(text, last, mark)
	}
	return ""
}

// place describes a position, counted from 1: bytes from the start of the message, characters within the line. mark
// is the length of the byte order mark before text.
func place(text []byte, at, mark int) string {
	before := text[:max(at, 0)]
	line := bytes.Count(before, []byte("\n")) + 1
	column := utf8.RuneCount(before[bytes.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Sprintf("byte %d (line %d, column %d)", mark+at+1, line, column)
}

// invalidUTF8 returns the place of the first byte that is not UTF-8.
func invalidUTF8(text []byte) int {
	for at := 0; at < len(text); {
		char, size := utf8.DecodeRune(text[at:])
		if char == utf8.RuneError && size == 1 {
			return at
		}
		at += size
	}
	return len(text)
}
