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

// fileKeys reads the keys of a key file, a line each, the newest last; it makes a file with one where there is none.
// Many processes start at once: the file is written aside and linked into place, so that whoever comes second reads
// what the first one made.
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
			break // being written, or half written by somebody who died: nothing was sealed with it
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

// appendKey draws a key and adds it to the file as it lies there: a file put in its place would belong to whoever
// rotates, and services that run as somebody else could not read it. The caller sees to it that there is one at a time.
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
	if whole == 0 { // one key, written by hand without an end of line
		whole, line = len(text), "\n"+line
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("write key file: %w", err)
	}
	err = file.Truncate(int64(whole)) // what somebody left half written
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
