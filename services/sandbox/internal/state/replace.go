package state

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
)

// replace writes a compressed file beside the one of the path and puts it in its place when it is whole and
// on disk, so that a reader of the path finds the old content or the new, whenever we are killed.
func replace(path string, write func(io.Writer) error) (err error) {
	// One fixed name: what a killed sandbox left half written is overwritten, not piled up. It is removed first
	// and made anew, so that it is ours, with our permissions.
	temporary := path + ".tmp"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("save state: %w", err)
	}
	file, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("save state: %w", err)
	}
	err = compress(file, write)
	if err == nil {
		err = file.Sync()
	}
	err = errors.Join(err, file.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		_ = os.Remove(temporary) // the first error says more
		return fmt.Errorf("save state: %w", err)
	}
	return nil
}

func compress(file io.Writer, write func(io.Writer) error) error {
	packed, err := gzip.NewWriterLevel(file, gzip.BestSpeed)
	if err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	buffered := bufio.NewWriterSize(packed, 64<<10)
	if err := write(buffered); err != nil {
		return err
	}
	if err := buffered.Flush(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	if err := packed.Close(); err != nil {
		return fmt.Errorf("compress: %w", err)
	}
	return nil
}
