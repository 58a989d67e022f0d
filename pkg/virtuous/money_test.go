package virtuous

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAmountsAreReadInEveryFormInUse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"10.5": "10.5", "25.0": "25", "1000": "1000", "0": "0", "-0.00": "0", "125.00": "125", ".5": "0.5",
		"$1,234.50": "1234.5", "($125.00)": "-125", "$100.00": "100", "-$5.00": "-5", "$-5.00": "-5", "$ 1,000,000": "1000000",
		"\u22125": "-5", "€1,234.50": "1234.5", "USD 12.30": "12.3", "12 EUR": "12", "CA$5": "5", "₹1,23,456.00": "123456", "123.123": "123.123",
		"1e3": "1000", "1.5E+2": "150", " 7 ": "7", "\u00a07": "7", "00012.10": "12.1", "999999999999999": "999999999999999",
		"0.1": "0.1", "4042.0": "4042", "$0": "0",
	} {
		money, err := ParseMoney(text)
		require.NoError(t, err, text)
		require.Equal(t, want, money.String(), text)
	}
}

func TestTextThatIsNoAmountIsRejectedWithoutBeingQuoted(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", " ", "-", "$", "abc", "1.234,50", "1,5", "12,34", "1,2345", ",5", "1,,000", "1,000,", "1.000,", "1.2.3", "1 2", "(5", "5)", "(-5)", "--5", "-$-5",
		"+5", "5.", "NaN", "Infinity", "0x10", "1_000", "1e999999999", "1e-999999999", "1e16", "1e-13", "0.0000000000001", "9999999999999999",
		"Ana Ruiz", "12 dollars", "٣", "1e", "e1", "1e1e1", "USDX 5", "5%", "1,000e3",
		"111111111111111111111111111111111111111111111111111111111111111111111111",
	} {
		_, err := ParseMoney(text)
		require.ErrorIs(t, err, ErrNotMoney, "%q", text)
		require.Equal(t, ErrNotMoney.Error(), err.Error())
	}
}

func TestPlainDecimalHasNoSymbolGroupOrExponent(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"125.00": "125", "-3": "-3", "0.01": "0.01"} {
		money, err := ParseDecimal(text)
		require.NoError(t, err, text)
		require.Equal(t, want, money.String())
	}
	for _, text := range []string{"", "$5", "1,000", "1e3", "+5", "5.", "(5)", " 5", "5 ", "--5", "5-"} {
		_, err := ParseDecimal(text)
		require.ErrorIs(t, err, ErrNotMoney, "%q", text)
	}
}

func TestMoneyArithmeticIsExact(t *testing.T) {
	t.Parallel()
	sum := Money{}
	for range 1000 {
		sum = sum.Add(money(t, "0.1"))
	}
	require.Equal(t, "100", sum.String())
	require.True(t, sum.Equal(money(t, "100.00")))
	require.Zero(t, sum.Cmp(money(t, "100.000")))
	require.Equal(t, -1, sum.Neg().Sign())
	require.Zero(t, Money{}.Sign())
	require.Equal(t, "0", Money{}.String())
	require.Equal(t, 2, money(t, "10.450").Decimals())
	require.Zero(t, money(t, "10.00").Decimals())
}

func TestFixedPadsAndDoesNotRound(t *testing.T) {
	t.Parallel()
	require.Equal(t, "125.00", money(t, "125").Fixed(2))
	require.Equal(t, "125", money(t, "125.00").Fixed(0))
	require.Equal(t, "0.125", money(t, "0.125").Fixed(2))
	require.Equal(t, "-5.50", money(t, "($5.5)").Fixed(2))
	require.Equal(t, "5", money(t, "5").Fixed(-3))
	require.Equal(t, "0.00", Money{}.Fixed(2))
}

func TestMoneyKeepsItsValueInJSON(t *testing.T) {
	t.Parallel()
	written, err := json.Marshal(map[string]Money{"amount": money(t, "$1,234.50")})
	require.NoError(t, err)
	require.JSONEq(t, `{"amount":"1234.5"}`, string(written))
	var read struct{ Amount Money }
	require.NoError(t, json.Unmarshal(written, &read))
	require.True(t, read.Amount.Equal(money(t, "1234.50")))
	require.Error(t, json.Unmarshal([]byte(`{"amount":"five"}`), &read))
}

func money(t *testing.T, text string) Money {
	t.Helper()
	amount, err := ParseMoney(text)
	require.NoError(t, err)
	return amount
}
