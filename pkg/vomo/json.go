package vomo

import (
	"bytes"
	"encoding/json"
	"iter"
	"slices"
	"strconv"
	"unicode/utf8"
)

// The functions here read JSON that json.Valid has accepted, value by value and without copying it. encoding/json
// does not fit: it matches a struct's field names case-insensitively, so if VOMO had a field "ID" beside "id", it
// would be read as the id of every user.

// document returns the value in a body, without a leading byte order mark and surrounding spaces; ok is false if the
// body is not JSON.
func document(body []byte) (value []byte, ok bool) {
	body = bytes.Trim(bytes.TrimPrefix(body, []byte("\ufeff")), " \t\r\n")
	return body, json.Valid(body)
}

// isObject, isList and isText report the kind of a value; all are false for an empty one.
func isObject(value []byte) bool { return len(value) > 0 && value[0] == '{' }
func isList(value []byte) bool   { return len(value) > 0 && value[0] == '[' }
func isText(value []byte) bool   { return len(value) > 0 && value[0] == '"' }

// isNone reports whether a value is missing or null.
func isNone(value []byte) bool { return len(value) == 0 || value[0] == 'n' }

// isScalar reports whether a value is a number or a boolean.
func isScalar(value []byte) bool {
	return len(value) > 0 && (value[0] == '-' || value[0] == 't' || value[0] == 'f' || '0' <= value[0] && value[0] <= '9')
}

// members returns the names and values of an object, in order. A name that occurs twice is returned twice.
func members(object []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for at := skipSpace(object, 1); at < len(object) && object[at] == '"'; {
			nameEnd := textEnd(object, at)
			name := object[at+1 : nameEnd-1]
			if bytes.IndexByte(name, '\\') >= 0 {
				name = []byte(textOf(object[at:nameEnd]))
			}
			start := skipSpace(object, skipSpace(object, nameEnd)+1) // behind the colon
			end := valueEnd(object, start)
			if !yield(name, object[start:end]) {
				return
			}
			at = skipSeparator(object, end)
		}
	}
}

// elements returns the values of a list, in order.
func elements(list []byte) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		for at := skipSpace(list, 1); at < len(list) && list[at] != ']'; {
			end := valueEnd(list, at)
			if !yield(list[at:end]) {
				return
			}
			at = skipSeparator(list, end)
		}
	}
}

// inOrderOfKeys returns the values of an object whose names are all whole numbers, in the order of the numbers: PHP
// produces such objects from lists with gaps. ok is false for any other object.
func inOrderOfKeys(object []byte, atMost int) (values [][]byte, ok bool) {
	type place struct {
		number uint64
		value  []byte
	}
	var places []place
	for name, value := range members(object) {
		number, err := strconv.ParseUint(string(name), 10, 64)
		if err != nil {
			return nil, false
		}
		if places = append(places, place{number, value}); len(places) > atMost {
			break
		}
	}
	slices.SortStableFunc(places, func(a, b place) int {
		switch {
		case a.number < b.number:
			return -1
		case a.number > b.number:
			return 1
		}
		return 0
	})
	for _, one := range places {
		values = append(values, one.value)
	}
	return values, true
}

// textOf returns the text of a JSON string. Invalid UTF-8 becomes U+FFFD.
func textOf(value []byte) string {
	inner := value[1 : len(value)-1]
	if bytes.IndexByte(inner, '\\') < 0 && utf8.Valid(inner) {
		return string(inner)
	}
	var text string
	_ = json.Unmarshal(value, &text) // it is valid
	return text
}

func skipSpace(text []byte, at int) int {
	for at < len(text) && (text[at] == ' ' || text[at] == '\t' || text[at] == '\r' || text[at] == '\n') {
		at++
	}
	return at
}

// skipSeparator returns where the next name or value starts after the end of a value, or where the object or list
// ends.
func skipSeparator(text []byte, at int) int {
	at = skipSpace(text, at)
	if at < len(text) && text[at] == ',' {
		at = skipSpace(text, at+1)
	}
	return at
}

// textEnd returns the end of the text that starts at at.
func textEnd(text []byte, at int) int {
	for i := at + 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// valueEnd returns the end of the value that starts at at.
func valueEnd(text []byte, at int) int {
	depth := 0
	for i := at; i < len(text); i++ {
		switch text[i] {
		case '"':
			if i = textEnd(text, i) - 1; depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			switch depth--; depth {
			case 0:
				return i + 1
			case -1: // that of what the value stands in
				return i
			}
		case ',', ' ', '\t', '\r', '\n':
			if depth == 0 {
				return i
			}
		}
	}
	return len(text)
}
