package vault

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
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

func devPath(secretsURL string) (string, bool) {
	if secretsURL == devScheme {
		return devDefaultPath, true
	}
	return strings.CutPrefix(secretsURL, devScheme+":")
}

// fileKeys reads the keys of a key file, one per line, the newest last. If there is no file, it creates one with one
// key. Many processes start at once, so the file is written beside its place and linked there: a process that comes
// second reads the file of the first.
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
		if len(keys) > 0 && !bytes.HasSuffix(line, []byte("\n")) {
			break // another process is writing this line, or died while writing it; nothing was sealed with it
		}
		key, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(line)))
		if err != nil || len(key) != keyBytes {
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

// appendKey generates a key and appends it to the existing file. A replacement file would belong to the user who
// rotates, and services of other users could not read it. The caller ensures that only one process does this at a
// time.
func appendKey(path string) error {
	line, err := drawLine()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("read key file: %w", err)
	}
	keys, err := keysIn(path, text)
	if err != nil {
		return err
	}
	whole := bytes.LastIndexByte(text, '\n') + 1
	if whole == 0 { // a single key without an end of line, written by hand
		whole, line = len(text), "\n"+line
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	err = file.Truncate(int64(whole)) // remove an unfinished line
	if err == nil {
		_, err = file.Seek(0, io.SeekEnd)
	}
	if err == nil {
		_, err = file.WriteString(line)
	}
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	after, err := fileKeys(path)
	if err != nil {
		return err
	}
	if len(after) != len(keys)+1 {
		return fmt.Errorf("key file %s was changed by somebody else meanwhile", path)
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
