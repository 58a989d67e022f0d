package operatoraudit

import (
	"encoding/json"
	"strings"
	"unicode"
	"unicode/utf8"

	"rollcall.dev/pkg/bus"
	"rollcall.dev/pkg/store"
)

// headerRequestInfo is the header in which the NATS server names the caller, if the caller's account imports the subject
// with `share: true`. Inside one account the server names no one, and a caller could set the header itself.
const headerRequestInfo = "Nats-Request-Info"

// maxName is the number of bytes of a name that are kept.
const maxName = 128

// Identify fills in who sent a request, by its headers.
func Identify(act *store.Act, header map[string][]string) {
	act.Operator = CleanName(first(header[bus.HeaderOperator]))
	var caller struct {
		Account string `json:"acc"`
		User    string `json:"user"`
	}
	if json.Unmarshal([]byte(first(header[headerRequestInfo])), &caller) != nil {
		return
	}
	act.NATSUser = CleanName(strings.Trim(caller.Account+"/"+caller.User, "/"))
}

// CleanName returns a name without characters that a terminal would not print, and not longer than a row keeps.
func CleanName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, strings.TrimSpace(name))
	for len(name) > maxName {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	return name
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
