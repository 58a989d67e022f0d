package cli

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"
)

// Where a secret of `rollcall init` comes from.
const (
	secretDrawn = "drawn"
	secretKept  = "kept"
	secretGiven = "environment"
)

const (
	secretBytes      = 24
	secretFileMode   = 0o444 // NATS, Postgres and the services run as different users; only they have the volume
	secretFolderMode = 0o755
)

// installationSecret is one secret that the containers share.
type installationSecret struct {
	File   string `json:"file"`
	Source string `json:"source"`

	variable string         // a value in the environment wins, so that existing data opens
	prefix   string         // a letter, so that no configuration language reads the secret as a number
	data     string         // folder of the server whose data only this secret opens; "" if there is none
	server   string         // that server's name
	pattern  *regexp.Regexp // what a given value must look like; nil accepts any
	value    string         // what is written; "" keeps the file
}

type initialised struct {
	Secrets []*installationSecret `json:"secrets"`
}

func (a *app) initialise() *cobra.Command {
	var folder, natsData, postgresData string
	command := &cobra.Command{
		Use:   "init",
		Short: "Draw the passwords of NATS and Postgres, once, for containers",
		Long: `Writes the files database-password, nats-password and nats-jetstream-key, from which the containers of an
installation take their secrets. A file that exists is kept. POSTGRES_PASSWORD, NATS_PASSWORD and NATS_JETSTREAM_KEY in
the environment win over the files, so that data from before can be opened.

It draws no new secret beside data that only the old one opens: then it changes nothing and exits 1.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.initialiseIn(folder, []*installationSecret{
				{File: "database-password", variable: "POSTGRES_PASSWORD", prefix: "p", data: postgresData, server: "Postgres"},
				{File: "nats-jetstream-key", variable: "NATS_JETSTREAM_KEY", prefix: "k", data: natsData, server: "NATS"},
				{File: "nats-password", variable: "NATS_PASSWORD", prefix: "n", pattern: regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]*$`)},
			})
		},
	}
	flags := command.Flags()
	flags.StringVar(&folder, "into", "/run/rollcall", "`folder` for the files")
	flags.StringVar(&natsData, "nats-data", "", "`folder` with NATS's streams; it is only read")
	flags.StringVar(&postgresData, "postgres-data", "", "`folder` with Postgres's database; it is only read")
	return command
}

// initialiseIn decides about all secrets before it writes the first one.
func (a *app) initialiseIn(folder string, secrets []*installationSecret) error {
	var problems []error
	for _, secret := range secrets {
		problems = append(problems, secret.decide(folder, a.env(secret.variable)))
	}
	if err := errors.Join(problems...); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, secretFolderMode); err != nil {
		return fmt.Errorf("make folder for secrets: %w", err)
	}
	for _, secret := range secrets {
		if err := secret.write(folder); err != nil {
			return fmt.Errorf("write %s: %w", secret.File, err)
		}
		source := secret.Source
		if source == secretGiven {
			source = "as in " + secret.variable
		}
		a.progressLinef("%s: %s", secret.File, source)
	}
	if a.json {
		return a.document(initialised{Secrets: secrets})
	}
	return nil
}

// decide sets where the secret comes from. It refuses a new secret if there is data that needs the old one.
func (s *installationSecret) decide(folder, given string) error {
	present, err := os.ReadFile(filepath.Join(folder, s.File)) //nolint:gosec // G304: the operator names the folder
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("read %s: %w", s.File, err)
	}
	switch {
	case given != "":
		if s.pattern != nil && !s.pattern.MatchString(given) {
			return fmt.Errorf("%s must be letters, digits, - and _, and begin with a letter", s.variable)
		}
		s.Source = secretGiven
		if string(present) != given {
			s.value = given
		}
		return nil
	case len(present) > 0:
		s.Source = secretKept
		return nil
	}
	hasData, err := holdsData(s.data)
	if err != nil {
		return fmt.Errorf("look for data of %s: %w", s.server, err)
	}
	if hasData {
		return fmt.Errorf("%s is missing, and the volume of %s has data that a new secret does not open: put %s=<the secret that the "+
			"data was made with> into .env, or restore the volume `passwords` from a backup; if the data is not needed, remove "+
			"all volumes (docker-compose down --volumes)", s.File, s.server, s.variable)
	}
	random := make([]byte, secretBytes)
	_, _ = rand.Read(random) // never fails
	s.Source, s.value = secretDrawn, s.prefix+hex.EncodeToString(random)
	return nil
}

// holdsData reports whether a folder has anything in it; the folder that a file system makes for itself does not count.
func holdsData(folder string) (bool, error) {
	if folder == "" {
		return false, nil
	}
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, entry := range entries {
		if entry.Name() != "lost+found" {
			return true, nil
		}
	}
	return false, nil
}

// write syncs the content before it renames the file: after a power cut there is no data whose secret is lost.
func (s *installationSecret) write(folder string) (err error) {
	if s.value == "" {
		return nil
	}
	file, err := os.CreateTemp(folder, ".new-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file.Name()))
		}
	}()
	_, err = file.WriteString(s.value)
	if err = errors.Join(err, file.Chmod(secretFileMode), file.Sync(), file.Close()); err != nil {
		return err
	}
	if err = os.Rename(file.Name(), filepath.Join(folder, s.File)); err != nil {
		return err
	}
	return syncFolder(folder)
}

func syncFolder(folder string) error {
	opened, err := os.Open(folder) //nolint:gosec // G304: the operator names the folder
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}
