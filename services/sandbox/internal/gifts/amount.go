package gifts

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Amount is an amount of money in ten-thousandths, as a database's money type holds it.
type Amount int64

const (
	amountDigits = 4
	maxWhole     = 100_000_000_000 // far above every gift, and far below the end of an int64
)

var errAmount = errors.New("is not an amount")

// ParseAmount reads an amount in the forms that clients send: `125`, `10.5`, `$1,234.50`, `($125.00)`.
func ParseAmount(text string) (Amount, error) {
	text = strings.TrimSpace(text)
	inner, negative := text, false
	if strings.HasPrefix(text, "(") && strings.HasSuffix(text, ")") && len(text) > 2 {
		inner, negative = text[1:len(text)-1], true
	}
	inner = strings.TrimPrefix(inner, "$")
	if rest, found := strings.CutPrefix(inner, "-"); found && !negative {
		inner, negative = strings.TrimPrefix(rest, "$"), true
	}
	whole, fraction, _ := strings.Cut(strings.ReplaceAll(inner, ",", ""), ".")
	trimmed := strings.TrimRight(fraction, "0")
	if whole == "" || len(trimmed) > amountDigits || !digits(whole) || !digits(fraction) {
		return 0, fmt.Errorf("%q %w", text, errAmount)
	}
	units, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || units > maxWhole {
		return 0, fmt.Errorf("%q %w", text, errAmount)
	}
	parts := int64(0)
	if trimmed != "" {
		parts, err = strconv.ParseInt(trimmed+strings.Repeat("0", amountDigits-len(trimmed)), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("%q %w", text, errAmount)
		}
	}
	amount := Amount(units*10_000 + parts)
	if negative {
		amount = -amount
	}
	return amount, nil
}

func digits(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' }) < 0
}

// String returns the amount with as many decimals as it has, and at least one: `10.5`, `125.0`.
func (a Amount) String() string {
	sign, units, parts := a.split()
	fraction := strings.TrimRight(fmt.Sprintf("%04d", parts), "0")
	if fraction == "" {
		fraction = "0"
	}
	return fmt.Sprintf("%s%d.%s", sign, units, fraction)
}

func (a Amount) split() (sign string, units, parts int64) {
	value := int64(a)
	if value < 0 {
		sign, value = "-", -value
	}
	return sign, value / 10_000, value % 10_000
}

// MarshalJSON writes a JSON number with at least one decimal, as Virtuous does.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalJSON reads a number or a text.
func (a *Amount) UnmarshalJSON(text []byte) error {
	plain := string(text)
	if strings.HasPrefix(plain, `"`) {
		if err := json.Unmarshal(text, &plain); err != nil {
			return fmt.Errorf("decode amount: %w", err)
		}
	}
	parsed, err := ParseAmount(plain)
	if err != nil {
		return err
	}
	*a = parsed
	return nil
}

// Formatted returns the amount as Virtuous shows it to people: `$1,234.50`, and `($125.00)` if it is negative.
func (a Amount) Formatted() string {
	sign, units, parts := a.split()
	shown := "$" + thousands(units) + fmt.Sprintf(".%02d", parts/100)
	if sign != "" {
		return "(" + shown + ")"
	}
	return shown
}

// Rounded returns the amount in whole units: `$1,200`.
func (a Amount) Rounded() string {
	sign, units, parts := a.split()
	if parts >= 5_000 {
		units++
	}
	return sign + "$" + thousands(units)
}

// Display returns the amount as a designation's text has it: `$-125.00`.
func (a Amount) Display() string {
	sign, units, parts := a.split()
	return "$" + sign + thousands(units) + fmt.Sprintf(".%02d", parts/100)
}

func thousands(units int64) string {
	text := strconv.FormatInt(units, 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}
