package gifts_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"rollcall.dev/services/sandbox/internal/gifts"
)

func TestAmountIsReadAndWrittenInTheFormsOfVirtuous(t *testing.T) {
	t.Parallel()
	for text, wanted := range map[string][4]string{
		"125":        {"125.0", "$125.00", "$125", "$125.00"},
		"10.5":       {"10.5", "$10.50", "$11", "$10.50"},
		"25.0":       {"25.0", "$25.00", "$25", "$25.00"},
		"$1,234.50":  {"1234.5", "$1,234.50", "$1,235", "$1,234.50"},
		"($125.00)":  {"-125.0", "($125.00)", "-$125", "$-125.00"},
		"-$5":        {"-5.0", "($5.00)", "-$5", "$-5.00"},
		"-7.25":      {"-7.25", "($7.25)", "-$7", "$-7.25"},
		" 0.1234 ":   {"0.1234", "$0.12", "$0", "$0.12"},
		"1234567.89": {"1234567.89", "$1,234,567.89", "$1,234,568", "$1,234,567.89"},
	} {
		amount, err := gifts.ParseAmount(text)
		require.NoError(t, err, text)
		require.Equal(t, wanted, [4]string{amount.String(), amount.Formatted(), amount.Rounded(), amount.Display()})
		written, err := json.Marshal(amount)
		require.NoError(t, err)
		require.Equal(t, wanted[0], string(written))
		var read gifts.Amount
		require.NoError(t, json.Unmarshal(written, &read))
		require.Equal(t, amount, read)
		require.NoError(t, json.Unmarshal([]byte(`"`+text+`"`), &read))
		require.Equal(t, amount, read)
	}
}

func TestWhatIsNoAmountIsRejected(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "$", "-", "()", "ten", "1.23456", "1.2.3", "1e3", "--5", "(-5)", "99999999999999999999", "100000000001", "1 000", ".5"} {
		_, err := gifts.ParseAmount(text)
		require.Error(t, err, text)
	}
	var read gifts.Amount
	require.Error(t, json.Unmarshal([]byte(`true`), &read))
}
