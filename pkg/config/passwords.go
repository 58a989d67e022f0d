package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
)

// byteOrderMark is what some editors write at the start of a file.
const byteOrderMark = "\ufeff"

// ReadPasswordFile reads the password from the file that a setting names, without a final newline or a leading byte
// order mark. The error names the setting and never the path, because the path may be a secret that was put into the
// wrong setting.
func ReadPasswordFile(setting, path string) (string, error) {
	content, err := os.ReadFile(path) //nolint:gosec // G304: the operator names the file
	if err != nil {
		if unreadable, ok := errors.AsType[*os.PathError](err); ok {
			err = unreadable.Err
		}
		return "", fmt.Errorf("%s names a file that cannot be read: %w", setting, err)
	}
	password := strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(string(content), byteOrderMark), "\n"), "\r")
	if password == "" {
		return "", fmt.Errorf("%s names an empty file", setting)
	}
	if strings.ContainsAny(password, "\r\n\x00") {
		return "", fmt.Errorf("%s names a file with more than one line: it must hold the password alone", setting)
	}
	return password, nil
}

// NATSPassword returns the password of NATSUser, and "" if no file is set.
func (c Config) NATSPassword() (string, error) {
	if c.NATSPasswordFile == "" {
		return "", nil
	}
	return ReadPasswordFile("NATS_PASSWORD_FILE", c.NATSPasswordFile)
}

// readPasswords adds the password from DATABASE_PASSWORD_FILE to DatabaseURL, and checks that NATS_PASSWORD_FILE can
// be read.
func readPasswords(c *Config) []error {
	var problems []error
	if c.DatabasePasswordFile != "" {
		password, err := ReadPasswordFile("DATABASE_PASSWORD_FILE", c.DatabasePasswordFile)
		if err == nil {
			c.DatabaseURL, err = withPassword(c.DatabaseURL, password)
		}
		if err != nil {
			problems = append(problems, err)
		}
	}
	if _, err := c.NATSPassword(); err != nil {
		problems = append(problems, err)
	} else if c.NATSPasswordFile != "" && c.NATSUser == "" {
		problems = append(problems, errors.New("NATS_PASSWORD_FILE needs NATS_USER, the name of the user whose password it has"))
	}
	return problems
}

var (
	errNoDatabaseUser = errors.New("DATABASE_PASSWORD_FILE needs a DATABASE_URL with a user: postgres://user@host:port/database")
	errTwoPasswords   = errors.New("DATABASE_URL has a password and DATABASE_PASSWORD_FILE is set: remove one of them")
)

// withPassword returns the database's URL with the password added. Its errors never print the URL.
func withPassword(database, password string) (string, error) {
	address, err := url.Parse(database)
	if err != nil || (address.Scheme != "postgres" && address.Scheme != "postgresql") || address.User.Username() == "" {
		return "", errNoDatabaseUser
	}
	if _, has := address.User.Password(); has {
		return "", errTwoPasswords
	}
	address.User = url.UserPassword(address.User.Username(), password)
	return address.String(), nil
}
