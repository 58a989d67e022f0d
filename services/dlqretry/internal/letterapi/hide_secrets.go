package letterapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// hidden stands for a value that may be a secret.
const hidden = `"…"`

// isDocument reports whether a message, without a byte order mark, is a JSON object or list. A text or a number alone may
// itself be the secret.
func isDocument(message []byte) bool {
	start := bytes.TrimLeft(message, " \t\r\n")
	return len(start) > 0 && (start[0] == '{' || start[0] == '[') && json.Valid(message)
}

// isSecretName reports whether the value of a field is hidden: its name contains a word for a secret, in any spelling. A
// message that became a letter may have misspelt names. A sealed value is no secret.
func isSecretName(name string) bool {
	name = strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == ' ' {
			return -1
		}
		return r
	}, strings.ToLower(name))
	if strings.HasSuffix(name, "sealed") {
		return false
	}
	for _, word := range []string{"token", "secret", "password", "passphrase", "authorization", "apikey", "credential"} {
		if strings.Contains(name, word) {
			return true
		}
	}
	return false
}

// hideSecrets replaces the values of such fields at any depth and leaves every other byte of a JSON document as it is. It
// shows null and empty values, because they are often the fault.
func hideSecrets(message []byte) (shown []byte, count int, err error) {
	decoder := json.NewDecoder(bytes.NewReader(message))
	decoder.UseNumber()
	var out bytes.Buffer
	var inside nesting
	copied := 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			out.Write(message[copied:])
			return out.Bytes(), count, nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read message: %w", err)
		}
		name, isName := inside.step(token)
		if !isName || !isSecretName(name) {
			continue
		}
		between := message[decoder.InputOffset():] // the colon, and spaces
		start := len(message) - len(bytes.TrimLeft(between, ": \t\r\n"))
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return nil, 0, fmt.Errorf("read message: %w", err)
		}
		inside.stepOver()
		if text := string(value); text == "null" || text == `""` {
			continue
		}
		out.Write(message[copied:start])
		out.WriteString(hidden)
		copied = start + len(value)
		count++
	}
}

// nesting says, for each open object and list, whether a name comes next in it.
type nesting []level

type level struct{ object, nameNext bool }

// step reads a token; isName says that it is the name of a field.
func (n *nesting) step(token json.Token) (name string, isName bool) {
	if delim, ok := token.(json.Delim); ok {
		switch delim {
		case '{', '[':
			n.stepOver()
			*n = append(*n, level{object: delim == '{', nameNext: delim == '{'})
		default:
			*n = (*n)[:len(*n)-1]
		}
		return "", false
	}
	if top := len(*n) - 1; top >= 0 && (*n)[top].nameNext {
		(*n)[top].nameNext = false
		name, isName = token.(string)
		return name, isName
	}
	n.stepOver()
	return "", false
}

// stepOver reads a whole value: after it, a name comes next in an object.
func (n *nesting) stepOver() {
	if top := len(*n) - 1; top >= 0 {
		(*n)[top].nameNext = (*n)[top].object
	}
}
