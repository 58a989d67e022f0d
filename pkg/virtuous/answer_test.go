package virtuous

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

// pathsOf returns the paths of all fields in a value.
func pathsOf(value gjson.Result, prefix string) []string {
	var paths []string
	value.ForEach(func(name, member gjson.Result) bool {
		path := prefix
		if value.IsObject() {
			path = strings.TrimPrefix(prefix+"."+name.Str, ".")
			paths = append(paths, path)
		}
		if member.IsObject() || member.IsArray() {
			paths = append(paths, pathsOf(member, path)...)
		}
		return true
	})
	return paths
}

func TestQuotaIsReadInBothSpellings(t *testing.T) {
	t.Parallel()
	unknown := Quota{Remaining: -1}
	for name, test := range map[string]struct {
		headers []string
		want    Quota
	}{
		"none": {nil, unknown},
		"one spelling": {[]string{"X-RateLimit-Limit", "5000", "X-RateLimit-Remaining", "4999", "X-RateLimit-Reset", "1795868100"},
			Quota{5000, 4999, time.Hour + 15*time.Minute}},
		"the other":    {[]string{"X-Rate-Limit-Limit", "1500", "X-Rate-Limit-Remaining", "0"}, Quota{1500, 0, 0}},
		"milliseconds": {[]string{"X-RateLimit-Reset", "1795863600500"}, Quota{0, -1, 500 * time.Millisecond}},
		"seconds":      {[]string{"X-RateLimit-Reset", "90"}, Quota{0, -1, 90 * time.Second}},
		"in the past":  {[]string{"X-RateLimit-Reset", "1771570800"}, unknown},
		"no numbers":   {[]string{"X-RateLimit-Limit", "many", "X-RateLimit-Remaining", "-1", "X-RateLimit-Reset", ""}, unknown},
		"by its Date":  {[]string{"X-RateLimit-Reset", "1771570800", "Date", "Fri, 20 Feb 2026 06:50:00 GMT"}, Quota{0, -1, 10 * time.Minute}},
		"far away":     {[]string{"X-RateLimit-Reset", "9223372036854775807"}, Quota{0, -1, 24 * time.Hour}},
	} {
		header := http.Header{}
		for i := 0; i < len(test.headers); i += 2 {
			header.Set(test.headers[i], test.headers[i+1])
		}
		require.Equal(t, test.want, quotaOf(header, time.Unix(1795863600, 0)), name)
	}
}

func TestEveryAnswerIsReportedWithItsHead(t *testing.T) {
	t.Parallel()
	f := newFixture(t, answering(429, "", "X-Request-Id", "00-abc:1", "X-RateLimit-Limit", "5000", "X-RateLimit-Remaining", "0",
		"X-RateLimit-Reset", "1771570800", "Date", "Fri, 20 Feb 2026 06:50:00 GMT"))
	_, err := f.Gift(t.Context(), 1)
	require.ErrorIs(t, err, ErrThrottled)
	require.Len(t, f.answers, 1)
	require.Equal(t, Answer{
		Use: UseRead, Status: 429, RequestID: "00-abc:1", Date: time.Date(2026, 2, 20, 6, 50, 0, 0, time.UTC), Quota: Quota{5000, 0, 10 * time.Minute},
		After: 10 * time.Minute,
	}, f.answers[0], "without Retry-After the pause is until the reset")
}

func TestRequestIDThatIsNoneIsNotKept(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"Ana Ruiz", "a@b", `"x"`, strings.Repeat("x", 101), "<b>", "é"} {
		require.Empty(t, requestIDOf(http.Header{"X-Request-Id": {id}}), id)
	}
	require.Equal(t, "0HM/a+b=|1", requestIDOf(http.Header{"X-Request-Id": {"0HM/a+b=|1"}}))
}
