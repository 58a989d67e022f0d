package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/dustin/go-humanize/english"
)

// sayf writes one line. Its error is kept by the output, which Run asks in the end.
func sayf(to io.Writer, format string, args ...any) {
	_, _ = fmt.Fprintf(to, format+"\n", args...)
}

// document prints the one JSON document of --json.
func (a *app) document(value any) error {
	encoder := json.NewEncoder(a.out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(value); err != nil {
		return fmt.Errorf("print JSON: %w", err)
	}
	return nil
}

// counted writes "1 user" and "2,000 users".
func counted[N int | int64](number N, one string) string { return english.Plural(int(number), one, "") }

// longest is the longest time that is written; it fits into a time.Duration.
const longest = math.MaxInt64 / int64(time.Second)

// seconds writes a time in its two largest units: 45s, 7m20s, 1h06m, 3d04h. humanize would write one unit alone: "1 hour".
func seconds(number int64) string {
	length := time.Duration(min(number, longest)) * time.Second
	hours, minutes := int64(length.Hours()), int64(length.Minutes())
	switch {
	case hours >= 48:
		return fmt.Sprintf("%dd%02dh", hours/24, hours%24)
	case hours >= 1:
		return fmt.Sprintf("%dh%02dm", hours, minutes%60)
	case minutes >= 1 && number%60 == 0:
		return fmt.Sprintf("%dm", minutes)
	}
	return length.String()
}

const clockLayout = "2006-01-02 15:04:05 UTC"

func moment(at time.Time) string { return at.UTC().Format(clockLayout) }
