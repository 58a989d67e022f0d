package dev

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// own has the settings that the children get from us, in place of the caller's.
type own struct {
	databaseURL, natsURL, sandbox, keyFile, webhooks string
}

// settings returns the settings by name. An empty one is left out, so that its default applies.
func (o own) settings() map[string]string {
	settings := map[string]string{
		"DATABASE_URL":               o.databaseURL,
		"DATABASE_PASSWORD_FILE":     "",
		"NATS_URL":                   o.natsURL,
		"SECRETS_URL":                "",
		"SECRETS_URL_NEXT":           "",
		"VOMO_BASE_URL":              "",
		"VIRTUOUS_BASE_URL":          "",
		"WEBHOOK_ADDR":               o.webhooks,
		"WEBHOOK_PUBLIC_URL":         "",
		"ALLOW_PRIVATE_DESTINATIONS": "true",
		"LOG_FORMAT":                 "console",
		"HTTP_ADDR":                  "", // each child has its own; see child.start
	}
	if o.keyFile != "" {
		settings["SECRETS_URL"] = "dev:" + o.keyFile
	}
	if o.sandbox != "" {
		settings["VOMO_BASE_URL"] = o.sandbox + "/vomo/v1"
		settings["VIRTUOUS_BASE_URL"] = o.sandbox + "/virtuous"
	}
	if o.webhooks != "" {
		settings["WEBHOOK_PUBLIC_URL"] = "http://" + o.webhooks // the sandbox's Virtuous is on this machine
	}
	return settings
}

// environment returns the children's environment: the caller's, so that limits and log levels are passed on, with our own
// settings. The caller's options for NATS and Postgres are left out: they name other servers.
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

// envName is a file with the services' settings. It exists while everything runs: a shell that reads it can run the
// commands that reach Postgres themselves.
const envName = "env"

// file returns the settings as lines for a shell. Only the owner may read the file, because it leads to the keys and to
// all data.
func (o own) file() []byte {
	settings := o.settings()
	var text strings.Builder
	text.WriteString("# Written by `rollcall dev` at each start, and removed at its end.\n")
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if settings[name] != "" {
			fmt.Fprintf(&text, "%s=%s\n", name, quoted(settings[name]))
		}
	}
	return []byte(text.String())
}

func (f *folder) writeEnv(ours own) error { return writeWhole(f.in(envName), ours.file()) }

// removeEnv removes the file, because the servers that it names have ended.
func (f *folder) removeEnv() error {
	if err := os.Remove(f.in(envName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", envName, err)
	}
	return nil
}

// doctor returns the shell command that runs `rollcall doctor` with these settings.
func (g guide) doctor() string {
	path := filepath.Join(usualDir, envName)
	if g.dir != "" {
		path = filepath.Join(g.dir, envName)
	}
	if !strings.ContainsRune(path, filepath.Separator) {
		path = "./" + path // a shell looks for a bare name elsewhere
	}
	if !plainPath(path) {
		path = quoted(path)
	}
	return "set -a; . " + path + "; set +a; " + g.program + " doctor"
}

// plainPath reports whether a shell needs no quotes for the path.
func plainPath(path string) bool {
	return !strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("/._-", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// quoted returns a text in quotes for a shell.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
