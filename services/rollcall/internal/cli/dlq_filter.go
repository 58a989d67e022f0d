package cli

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/store"
)

// letterFlags select letters.
type letterFlags struct {
	customer, kind, state, code, class string
	olderThan, newerThan, record, text string
	ids                                []string
}

func (f *letterFlags) add(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVar(&f.customer, "customer", "", "letters of this `customer`; _unknown for letters without a customer")
	flags.StringVar(&f.kind, "kind", "", "which `kind`: user, message or writeback")
	flags.StringVar(&f.state, "state", "", "which `state`: open (the default), waiting, review, settled or all")
	flags.StringVar(&f.code, "error-code", "", "letters with this `code`")
	flags.StringVar(&f.class, "class", "", "which `class`: retryable or permanent")
	flags.StringVar(&f.olderThan, "older-than", "", "first failed at least this `age` ago, such as 90m, 2h or 3d")
	flags.StringVar(&f.newerThan, "newer-than", "", "first failed less than this `age` ago")
	flags.StringVar(&f.record, "record", "", "letters of the user with this VOMO `id`")
	flags.StringVar(&f.text, "text", "", "`text` in the error code, record id, original subject or job, in whatever case")
	flags.StringSliceVar(&f.ids, "id", nil, "letters with this `id`, or whose id begins so: at least 8 characters; may be repeated")
}

// flagOf returns the flag that sets a field of the question.
func flagOf(field string) string {
	switch field {
	case operatorapi.FieldCustomerID:
		return "--customer"
	case operatorapi.FieldErrorCode:
		return "--error-code"
	case operatorapi.FieldErrorClass:
		return "--class"
	case operatorapi.FieldOlderThan:
		return "--older-than"
	case operatorapi.FieldNewerThan:
		return "--newer-than"
	case operatorapi.FieldRecordID:
		return "--record"
	case operatorapi.FieldIDs:
		return "--id"
	case operatorapi.FieldPace:
		return "--pace"
	}
	return "--" + field
}

// filter returns the filter that the flags describe; customer is the argument, or "".
func (f *letterFlags) filter(command *cobra.Command, customer string) (operatorapi.LettersFilter, error) {
	filter := operatorapi.LettersFilter{
		CustomerID: f.customer, Kind: f.kind, State: f.state, ErrorCode: f.code, ErrorClass: f.class, RecordID: f.record, Text: f.text,
		IDs: f.ids,
	}
	// An empty value would mean all letters: an unset shell variable must not discard everything.
	for _, name := range []string{"customer", "kind", "state", "error-code", "class", "older-than", "newer-than", "record", "text", "id"} {
		if flag := command.Flags().Lookup(name); flag.Changed && (flag.Value.String() == "" || flag.Value.String() == "[]") {
			return filter, usage("--%s is empty: leave it out to mean all, or say what it is", name)
		}
	}
	if customer != "" {
		if f.customer != "" && f.customer != customer {
			return filter, usage("two customers are named, %q and --customer %q: name one", customer, f.customer)
		}
		filter.CustomerID = customer
		if !operatorapi.ValidLetterCustomer(customer) {
			return filter, usage("%q is no customer: an id has 1 to 63 characters of a-z, 0-9, _ and -; _unknown is for letters without a customer", customer)
		}
	}
	for _, age := range []struct {
		flag, text string
		seconds    *int64
	}{{"older-than", f.olderThan, &filter.OlderThanSeconds}, {"newer-than", f.newerThan, &filter.NewerThanSeconds}} {
		if age.text == "" {
			continue
		}
		length, ok := parseAge(age.text)
		if !ok {
			return filter, usage("--%s takes an age such as 90m, 2h, 3d or 1w, not %q", age.flag, age.text)
		}
		*age.seconds = length
	}
	return filter, filterError(filter.Validate())
}

// filterError names the first invalid flag, and what it accepts.
func filterError(errs map[string][]string) error {
	for _, field := range slices.Sorted(maps.Keys(errs)) {
		return usage("%s %s", flagOf(field), errs[field][0])
	}
	return nil
}

// parseAge reads 90m, 2h, 3d, 1w or 1d12h as seconds.
func parseAge(text string) (seconds int64, ok bool) {
	units := map[byte]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 24 * 3600, 'w': 7 * 24 * 3600}
	for text != "" {
		end := strings.IndexFunc(text, func(r rune) bool { return r < '0' || r > '9' })
		if end <= 0 {
			return 0, false
		}
		number, err := strconv.ParseInt(text[:end], 10, 32)
		unit := units[text[end]]
		if err != nil || unit == 0 || seconds > math.MaxInt32*units['w'] {
			return 0, false
		}
		seconds += number * unit
		text = text[end+1:]
	}
	return seconds, seconds > 0
}

// oneCustomer returns the optional argument of a command, or "".
func oneCustomer(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// isLetterID reports whether text is a letter's id or the beginning of one, and not a customer's id.
func isLetterID(text string) bool {
	_, ok := store.LetterIDsLike(text)
	return ok
}
