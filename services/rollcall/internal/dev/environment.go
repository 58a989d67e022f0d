package dev

import (
	"maps"
	"slices"
	"strings"
)

// own is what the children get from us, whatever the caller's environment says.
type own struct {
	databaseURL, natsURL, sandbox, keyFile string
}

// settings are by name. An empty one is left out, so that it has its default.
func (o own) settings() map[string]string {
	settings := map[string]string{
		"DATABASE_URL":               o.databaseURL,
		"DATABASE_PASSWORD_FILE":     "",
		"NATS_URL":                   o.natsURL,
		"SECRETS_URL":                "",
		"SECRETS_URL_NEXT":           "",
		"VOMO_BASE_URL":              "",
		"ALLOW_PRIVATE_DESTINATIONS": "true",
		"LOG_FORMAT":                 "console",
		"HTTP_ADDR":                  "", // another one for each child; see child.start
	}
	if o.keyFile != "" {
		settings["SECRETS_URL"] = "dev:" + o.keyFile
	}
	if o.sandbox != "" {
		settings["VOMO_BASE_URL"] = o.sandbox + "/vomo/v1"
	}
	return settings
}

// environment is what the children get: the caller's, so that limits and log levels pass through, with what we
// decide in its place. Options for the caller's own NATS and Postgres are left out: they mean other servers.
func environment(callers []string, ours own) []string {
	settings := ours.settings()
	var result []string
	for _, line := range callers {
		name, _, _ := strings.Cut(line, "=")
		_, replaced := settings[name]
		if replaced || strings.HasPrefix(name, "NATS_") || strings.HasPrefix(name, "PG") {
			continue
		}
		result = append(result, line)
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if settings[name] != "" {
			result = append(result, name+"="+settings[name])
		}
	}
	return result
}
