package virtuous

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzValues checks that any text is an amount, a time or a date, or an error that does not quote it; and that what was read
// is read again from what is written.
func FuzzValues(f *testing.F) {
	f.Fuzz(func(t *testing.T, text string) {
		if money, err := ParseMoney(text); err == nil {
			require.LessOrEqual(t, money.Decimals(), maxAmountDecimals)
			require.Less(t, len(money.Fixed(2)), maxAmountBytes)
			again, err := ParseDecimal(money.String())
			require.NoError(t, err)
			require.True(t, again.Equal(money))
			require.Equal(t, money.Sign(), -money.Neg().Sign())
		} else {
			require.Equal(t, ErrNotMoney, err)
		}
		if at, err := ParseTime(text); err == nil && !at.IsZero() {
			again, err := ParseTime(at.Format(time.RFC3339Nano))
			require.NoError(t, err)
			require.Equal(t, at, again)
		} else if err != nil {
			require.Equal(t, ErrNotTime, err)
		}
		if date, err := ParseDate(text); err == nil {
			again, err := ParseDate(date.String())
			require.NoError(t, err)
			require.Equal(t, date, again)
		} else {
			require.Equal(t, ErrNotDate, err)
		}
	})
}
