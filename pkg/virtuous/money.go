package virtuous

import (
	"errors"
	"strings"
	"unicode"

	"github.com/shopspring/decimal"
)

// Limits of an amount. A number that is one short text can have millions of digits ("1e999999999").
const (
	maxAmountBytes    = 64
	maxAmountExponent = 15
	maxAmountDecimals = 12
)

// ErrNotMoney means that a text is no amount. The error does not quote the text.
var ErrNotMoney = errors.New("that is no amount of money")

// Money is an exact decimal amount; no operation on it rounds. The zero value is 0. Compare amounts with Equal: == also
// compares how they are stored.
type Money struct{ amount decimal.Decimal }

// ParseDecimal returns the amount of a plain decimal such as "125.00" or "-3". It accepts no symbol, group separator or
// exponent.
func ParseDecimal(text string) (Money, error) {
	if strings.ContainsAny(text, "eE+") {
		return Money{}, ErrNotMoney
	}
	return parseNumber(text)
}

// ParseMoney returns the amount of a text as Virtuous and its clients write it: "10.5", "$1,234.50", "($125.00)",
// "-$5", "EUR 12". A comma separates groups of digits; a text in which it may be a decimal point is rejected.
func ParseMoney(text string) (Money, error) {
	text, negative := strings.TrimSpace(text), false
	if inner, is := strings.CutPrefix(text, "("); is {
		if text, is = strings.CutSuffix(inner, ")"); !is {
			return Money{}, ErrNotMoney
		}
		negative = true
	}
	text, minus := cutMinus(text)
	text = cutCurrency(text)
	text, afterSymbol := cutMinus(text)
	if negative && (minus || afterSymbol) || minus && afterSymbol {
		return Money{}, ErrNotMoney
	}
	if strings.HasPrefix(text, "-") || strings.HasPrefix(text, "+") {
		return Money{}, ErrNotMoney
	}
	text, err := withoutGroups(text)
	if err != nil {
		return Money{}, err
	}
	money, err := parseNumber(text)
	if err == nil && (negative || minus || afterSymbol) {
		money = money.Neg()
	}
	return money, err
}

// cutMinus removes a leading minus, hyphen or the sign that typesetting uses.
func cutMinus(text string) (rest string, minus bool) {
	for _, sign := range []string{"-", "\u2212"} {
		if rest, is := strings.CutPrefix(text, sign); is {
			return strings.TrimSpace(rest), true
		}
	}
	return text, false
}

// cutCurrency removes a currency's symbol or code before or after the number.
func cutCurrency(text string) string {
	symbol := func(r rune) bool { return unicode.Is(unicode.Sc, r) || unicode.IsSpace(r) }
	trimmed := strings.TrimFunc(text, symbol)
	if code := strings.TrimLeft(trimmed, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"); len(trimmed)-len(code) <= 3 {
		trimmed = code
	}
	if code := strings.TrimRight(trimmed, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"); len(trimmed)-len(code) == 3 {
		trimmed = code
	}
	return strings.TrimFunc(trimmed, symbol)
}

// withoutGroups removes commas between groups of digits. The last group has three digits, the others two or three, since
// some countries write 1,23,456.
func withoutGroups(text string) (string, error) {
	if !strings.Contains(text, ",") {
		return text, nil
	}
	whole, fraction, _ := strings.Cut(text, ".")
	groups := strings.Split(whole, ",")
	for i, group := range groups {
		size := len(group)
		switch {
		case strings.Trim(group, "0123456789") != "", strings.Contains(fraction, ","),
			i == 0 && (size < 1 || size > 3),
			i > 0 && i < len(groups)-1 && size != 2 && size != 3,
			i == len(groups)-1 && size != 3:
			return "", ErrNotMoney
		}
	}
	return strings.ReplaceAll(text, ",", ""), nil
}

func parseNumber(text string) (Money, error) {
	if text == "" || len(text) > maxAmountBytes || strings.Trim(text, "0123456789.-+eE") != "" || strings.HasSuffix(text, ".") {
		return Money{}, ErrNotMoney
	}
	number, err := decimal.NewFromString(text)
	if err != nil || number.Exponent() > maxAmountExponent || number.Exponent() < -maxAmountBytes {
		return Money{}, ErrNotMoney
	}
	money := Money{number}
	if money.Decimals() > maxAmountDecimals || number.NumDigits()+int(number.Exponent()) > maxAmountExponent {
		return Money{}, ErrNotMoney
	}
	return money, nil
}

// Add returns the sum of two amounts.
func (m Money) Add(other Money) Money { return Money{m.amount.Add(other.amount)} }

// Neg returns the amount with the opposite sign.
func (m Money) Neg() Money { return Money{m.amount.Neg()} }

// Cmp returns -1, 0 or 1 if m is less than other, equal to it or greater.
func (m Money) Cmp(other Money) int { return m.amount.Cmp(other.amount) }

// Equal reports whether two amounts are the same number: 125 is 125.00.
func (m Money) Equal(other Money) bool { return m.amount.Equal(other.amount) }

// Sign returns -1, 0 or 1 if the amount is negative, zero or positive.
func (m Money) Sign() int { return m.amount.Sign() }

// Decimals returns how many digits the amount needs behind its decimal point: 1 for "10.50".
func (m Money) Decimals() int {
	_, fraction, _ := strings.Cut(m.String(), ".")
	return len(fraction)
}

// String returns the amount as a plain decimal without unneeded zeros, so equal amounts have equal texts.
func (m Money) String() string {
	if m.amount.IsZero() {
		return "0"
	}
	return m.amount.String()
}

// Fixed returns the amount as a plain decimal with at least that many decimals. It does not round: an amount that has
// more keeps them.
func (m Money) Fixed(decimals int) string {
	return m.amount.StringFixed(int32(max(decimals, m.Decimals(), 0))) //nolint:gosec // an amount has 12 decimals at most, a currency 4
}

// MarshalText returns String.
func (m Money) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads what ParseMoney reads.
func (m *Money) UnmarshalText(text []byte) error {
	money, err := ParseMoney(string(text))
	if err != nil {
		return err
	}
	*m = money
	return nil
}
