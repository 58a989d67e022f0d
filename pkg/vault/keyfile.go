package vault

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	devScheme      = "dev"
	devDefaultPath = ".rollcall/secrets.key"
	keyBytes       = 32
)

// KeyFile returns the path of the key file that a SECRETS_URL names, and whether it names one.
func KeyFile(secretsURL string) (path string, isFile bool) {
	if secretsURL == devScheme {
		return devDefaultPath, true
	}
	return strings.CutPrefix(secretsURL, devScheme+":")
}

// MissingKeyFile returns the key file that a SECRETS_URL names if it does not exist, otherwise "". A service creates
// it; a program that only inspects must not.
func MissingKeyFile(secretsURL string) string {
	path, isFile := KeyFile(secretsURL)
	if !isFile {
		return ""
	}
	if _, err := os.Stat(path); os.IsNotExist(err) {
		return path
	}
	return ""
}

// fileKeys reads the keys of a key file, one per line, the newest last. An operator may append the key of a second file,
// and rotations of earlier versions appended a key. If there is no file, fileKeys creates one with one key. Many processes
// start at once, so the file is written beside its place and linked there: a process that comes second reads the file of
// the first.
func fileKeys(path string) ([][]byte, error) {
	for range 2 {
		text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
		if err == nil {
			return keysIn(path, text)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("read key file: %w", err)
		}
		if err := makeKeyFile(path); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("key file %s was made and is gone again", path)
}

func keysIn(path string, text []byte) ([][]byte, error) {
	var keys [][]byte
	for line := range bytes.Lines(text) {
		key, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(line)))
		if err != nil || len(key) != keyBytes {
			if len(keys) > 0 && !bytes.HasSuffix(line, []byte("\n")) {
				break // a rotation of an earlier version died while it wrote this line; nothing was sealed with the key
			}
			return nil, fmt.Errorf("key file %s is not %d bytes in base64 on each line", path, keyBytes)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("key file %s is not %d bytes in base64 on each line", path, keyBytes)
	}
	return keys, nil
}

func makeKeyFile(path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make folder of key file: %w", err)
	}
	line, err := drawLine()
	if err != nil {
		return err
	}
	aside, err := os.CreateTemp(filepath.Dir(path), ".secrets-*")
	if err != nil {
		return fmt.Errorf("make key file: %w", err)
	}
	defer func() { err = errors.Join(err, os.Remove(aside.Name())) }()
	_, err = aside.WriteString(line)
	if err := errors.Join(err, aside.Sync(), aside.Close()); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	if err := os.Link(aside.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("place key file: %w", err)
	}
	return nil
}

func drawLine() (string, error) {
	key := make([]byte, keyBytes)
	if _, err := rand.Read(key); err != nil {
		return "", fmt.Errorf("draw key: %w", err)
	}
	return base64.StdEncoding.EncodeToString(key) + "\n", nil
}
