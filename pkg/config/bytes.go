package config

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// Bytes is a size: a whole number of bytes, or of KiB, MiB, GiB or TiB.
type Bytes int64

// UnmarshalText reads a size.
func (b *Bytes) UnmarshalText(text []byte) (err error) {
	*b, err = parseBytes(string(text))
	return err
}

func parseBytes(text string) (Bytes, error) {
	unit := int64(1)
	for i, name := range []string{"KiB", "MiB", "GiB", "TiB"} {
		if rest, found := strings.CutSuffix(text, name); found {
			text, unit = strings.TrimSpace(rest), 1<<(10*(i+1))
			break
		}
	}
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number < 0 || number > math.MaxInt64/unit {
		return 0, errors.New("not a size")
	}
	return Bytes(number * unit), nil
}
