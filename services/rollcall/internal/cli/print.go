package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
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

// grouped writes 1234567 as 1,234,567.
func grouped[N int | int64](number N) string {
	digits := strconv.FormatInt(int64(number), 10)
	start := 0
	if number < 0 {
		start = 1
	}
	for at := len(digits) - 3; at > start; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// counted writes "1 user" and "2 users".
func counted[N int | int64](number N, one string) string {
	if number == 1 {
		return "1 " + one
	}
	return grouped(number) + " " + one + "s"
}

// seconds writes 80 as 1m20s, and long times without their seconds.
func seconds(number int64) string {
	if number > math.MaxInt64/int64(time.Second) {
		return "ages"
	}
	length := time.Duration(number) * time.Second
	if length < time.Hour {
		return length.String()
	}
	return fmt.Sprintf("%dh%02dm", int64(length.Hours()), int64(length.Minutes())%60)
}

const clockLayout = "2006-01-02 15:04:05 UTC"

func moment(at time.Time) string { return at.UTC().Format(clockLayout) }
