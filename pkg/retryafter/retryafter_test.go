package retryafter_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"rollcall.dev/pkg/retryafter"
)

func TestEveryFormIsParsedAndLongestPauseCounts(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		values []string
		want   time.Duration
	}{
		"none":                                   {nil, 0},
		"empty":                                  {[]string{""}, 0},
		"seconds":                                {[]string{"7"}, 7 * time.Second},
		"seconds with spaces":                    {[]string{" 10 "}, 10 * time.Second},
		"zero":                                   {[]string{"0"}, 0},
		"below zero":                             {[]string{"-5"}, 0},
		"a fraction":                             {[]string{"2.5"}, 2500 * time.Millisecond},
		"a fraction without a whole":             {[]string{".25"}, 250 * time.Millisecond},
		"two proxies wrote the same":             {[]string{"3, 3"}, 3 * time.Second},
		"two proxies wrote different ones":       {[]string{"3,12.5"}, 12500 * time.Millisecond},
		"the header is repeated":                 {[]string{"3", "9", "1"}, 9 * time.Second},
		"one of two cannot be read":              {[]string{"soon", "4"}, 4 * time.Second},
		"one of two is below zero":               {[]string{"-5, 6"}, 6 * time.Second},
		"a date":                                 {[]string{"Sun, 01 Feb 2026 00:00:05 GMT"}, 5 * time.Second},
		"a date as of RFC 850":                   {[]string{"Sunday, 01-Feb-26 00:00:05 GMT"}, 5 * time.Second},
		"a date as of C":                         {[]string{"Sun Feb  1 00:00:05 2026"}, 5 * time.Second},
		"two dates joined":                       {[]string{"Sun, 01 Feb 2026 00:00:05 GMT, Sun, 01 Feb 2026 00:00:08 GMT"}, 8 * time.Second},
		"a date and seconds joined":              {[]string{"Sun, 01 Feb 2026 00:00:05 GMT, 6"}, 6 * time.Second},
		"seconds and a date joined":              {[]string{"4, Sun, 01 Feb 2026 00:00:05 GMT"}, 5 * time.Second},
		"a date that has passed":                 {[]string{"Sat, 31 Jan 2026 23:59:59 GMT"}, 0},
		"a date that has passed, and seconds":    {[]string{"Sat, 31 Jan 2026 23:59:59 GMT", "2"}, 2 * time.Second},
		"words":                                  {[]string{"soon"}, 0},
		"dots":                                   {[]string{"1.2.3"}, 0},
		"infinite":                               {[]string{"inf"}, 0},
		"no number":                              {[]string{"nan"}, 0},
		"an exponent":                            {[]string{"1e3"}, 0},
		"more than is believed":                  {[]string{"3601"}, time.Hour},
		"more than any number holds":             {[]string{"99999999999999999999999"}, time.Hour},
		"a date further away than is believed":   {[]string{"Tue, 03 Feb 2026 00:00:00 GMT"}, time.Hour},
		"more digits than any number's exponent": {[]string{string(make9s(400))}, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			header := http.Header{"Retry-After": c.values}
			require.Equal(t, c.want, retryafter.Of(header, now))
			header.Set("Date", now.Format(http.TimeFormat))
			require.Equal(t, c.want, retryafter.Of(header, now.Add(time.Hour)), "a date is compared with the answer's own clock")
		})
	}
}

func make9s(n int) []byte {
	digits := make([]byte, n)
	for i := range digits {
		digits[i] = '9'
	}
	return digits
}
