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

// envName is the file in the folder that has, while everything runs, what the services get: a shell that reads it can run
// those commands beside us that reach Postgres themselves.
const envName = "env"

// file is the settings as lines that a shell reads. It holds the way to the keys and to everybody's data: it is for us
// alone.
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

// removeEnv takes the file away: nothing answers any more where it points to.
func (f *folder) removeEnv() error {
	if err := os.Remove(f.in(envName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", envName, err)
	}
	return nil
}

// doctor is the line for a shell that runs the doctor on what runs here.
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

// plainPath says whether a shell takes the path as it stands.
func plainPath(path string) bool {
	return !strings.ContainsFunc(path, func(r rune) bool {
		return !strings.ContainsRune("/._-", r) && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// quoted is a text of which a shell takes every character for itself.
func quoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }
