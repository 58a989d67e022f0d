package rollcallv1

import (
	"fmt"
	"net/mail"
	"regexp"
	"strings"
	"time"
)

// UnknownCustomer is the customer token of letters whose customer cannot be read.
const UnknownCustomer = "_unknown"

// Installation is the customer token of alerts that are not about a single customer. Like UnknownCustomer, it is not
// a valid customer id.
const Installation = "_installation"

var customerID = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)

// ValidCustomerID reports whether id may name a customer: it is used as a subject token, a key and part of file
// names.
func ValidCustomerID(id string) bool { return customerID.MatchString(id) }

// Limits of a request's settings.
const (
	MaxPollCadenceMinutes = 7 * 24 * 60
	MaxTokenBytes         = 8 << 10
	MaxRequestsPerSecond  = 100_000
	MaxBatchSize          = 500
	MinRequestsPerSecond  = 0.001 // a lower value is a mistake, and intervals must not overflow
	maxEmailBytes         = 254
)

// MissingDestination is the error text for a request that needs a destination and names none. Whether a request may
// have only a token depends on whether the customer is known; only the onboarding service can decide that.
const MissingDestination = "is missing: give externalSystemUrl or destination; a token and nothing else is enough only for a customer who is " +
	"onboarded already, whose settings then stay"

const customerIDRule = "must be 1 to 63 characters of a-z, 0-9, _ and -, and begin with a letter or digit"

// Validate returns what is wrong with a request published under subjectCustomer, as far as the request alone shows
// it. pkg/destination, which knows its kinds, checks destination addresses, and pkg/window, which knows time zones,
// checks quiet hours. A request with only a token is valid: see TokenOnly.
func (r *OnboardingRequest) Validate(subjectCustomer string, requireSealed bool) FieldErrors {
	errs := FieldErrors{}
	validateCustomer(errs, r.GetCustomerId(), subjectCustomer)
	switch {
	case r.GetVomoToken() != "" && r.GetVomoTokenSealed() != "":
		errs.Add("vomoToken", "is given twice: give either vomoToken or vomoTokenSealed")
	case r.GetVomoToken() == "" && r.GetVomoTokenSealed() == "" && r.HasMirror():
		errs.Add("vomoToken", "is missing: give vomoToken or vomoTokenSealed, or a request that is about virtuous alone")
	}
	validateSecret(errs, "vomoToken", r.GetVomoToken(), requireSealed)
	validateSecret(errs, "vomoTokenSealed", r.GetVomoTokenSealed(), false)
	if minutes := r.GetPollCadenceMinutes(); minutes < 0 || minutes > MaxPollCadenceMinutes {
		errs.Add("pollCadenceMinutes", fmt.Sprintf("must be 1 to %d minutes, or left out for 30", MaxPollCadenceMinutes))
	}
	if email := r.GetAdminEmail(); email != "" {
		if parsed, err := mail.ParseAddress(email); err != nil || parsed.Address != email || len(email) > maxEmailBytes {
			errs.Add("adminEmail", "is not an e-mail address")
		}
	}
	r.validateDestination(errs, requireSealed)
	r.validateLimits(errs)
	r.GetWriteBack().validate(errs)
	r.GetVirtuous().validate(errs, requireSealed)
	if notBefore := r.GetBackfillNotBefore(); notBefore != nil && !plausible(notBefore.AsTime()) {
		errs.Add("backfillNotBefore", "must lie between the years 2000 and 2099")
	}
	return errs
}

// TokenOnly reports whether a request sets only a VOMO token of its side of VOMO: it then replaces the token of a known
// customer. It also works for stored requests, whose tokens were removed. Any field that a later version adds to the request
// counts as a setting. Beside virtuous, the address of the admin is not a setting of the mirror.
func (r *OnboardingRequest) TokenOnly() bool {
	if r.GetVirtuous() != nil {
		return r.onlyFields("customer_id", "vomo_token", "vomo_token_sealed", "virtuous", "admin_email")
	}
	return r.onlyFields("customer_id", "vomo_token", "vomo_token_sealed")
}

// OwnLimits returns the limits that the request names for its customer; nil means the installation's.
func (r *OnboardingRequest) OwnLimits() (perSecond, perMinute *float64) {
	if asked := r.GetLimits().GetRequestsPerSecond(); asked > 0 {
		perSecond = &asked
	}
	if limits := r.GetLimits(); limits != nil {
		perMinute = limits.RequestsPerMinute // 0, too: no limit a minute
	}
	return perSecond, perMinute
}

// plausible rejects moments that can only be a mistake: a backfill that waits for the year 20266 would never start.
func plausible(moment time.Time) bool {
	const first, last = 2000, 2099
	return moment.UTC().Year() >= first && moment.UTC().Year() <= last
}

func (r *OnboardingRequest) validateDestination(errs FieldErrors, requireSealed bool) {
	destination := r.GetDestination()
	switch {
	case r.TokenOnly(), !r.HasMirror():
	case destination == nil && r.GetExternalSystemUrl() == "":
		errs.Add("externalSystemUrl", MissingDestination)
	case destination != nil && r.GetExternalSystemUrl() != "":
		errs.Add("destination", "is given twice: give either externalSystemUrl or destination")
	case destination != nil:
		if destination.GetKind() == "" {
			errs.Add("destination.kind", `is missing: "rest"`)
		}
		if destination.GetToken() != "" && destination.GetTokenSealed() != "" {
			errs.Add("destination.token", "is given twice: give either token or tokenSealed")
		}
		if size := destination.GetBatchSize(); size != 0 && (size < 2 || size > MaxBatchSize) {
			errs.Add("destination.batchSize", fmt.Sprintf("must be 2 to %d, or left out where the destination takes users one by one", MaxBatchSize))
		}
		validateSecret(errs, "destination.token", destination.GetToken(), requireSealed)
		validateSecret(errs, "destination.tokenSealed", destination.GetTokenSealed(), false)
	}
}

func (r *OnboardingRequest) validateLimits(errs FieldErrors) {
	limits := r.GetLimits()
	if limits == nil {
		return
	}
	// Written so that it also rejects NaN, for which every comparison is false.
	if perSecond := limits.GetRequestsPerSecond(); perSecond != 0 && !(perSecond >= MinRequestsPerSecond && perSecond <= MaxRequestsPerSecond) {
		errs.Add("limits.requestsPerSecond", fmt.Sprintf("must be %g to %d, or left out", MinRequestsPerSecond, MaxRequestsPerSecond))
	}
	if perMinute := limits.GetRequestsPerMinute(); perMinute != 0 && !(perMinute >= 60*MinRequestsPerSecond && perMinute <= 60*MaxRequestsPerSecond) {
		errs.Add("limits.requestsPerMinute", fmt.Sprintf("must be 0 (no limit), or %g to %d, or left out",
			60*MinRequestsPerSecond, 60*MaxRequestsPerSecond))
	}
}

// Validate returns what is wrong with an offboarding request published under subjectCustomer.
func (r *OffboardRequest) Validate(subjectCustomer string) FieldErrors {
	errs := FieldErrors{}
	validateCustomer(errs, r.GetCustomerId(), subjectCustomer)
	return errs
}

// Validate returns what is wrong with a backfill request published under subjectCustomer.
func (r *BackfillRequest) Validate(subjectCustomer string) FieldErrors {
	return validateWakeUp(r.GetCustomerId(), r.GetRunId(), subjectCustomer)
}

// Validate returns what is wrong with a poll request published under subjectCustomer.
func (r *PollRequest) Validate(subjectCustomer string) FieldErrors {
	return validateWakeUp(r.GetCustomerId(), r.GetRunId(), subjectCustomer)
}

// Validate returns what is wrong with a reconcile request published under subjectCustomer.
func (r *ReconcileRequest) Validate(subjectCustomer string) FieldErrors {
	return validateWakeUp(r.GetCustomerId(), r.GetRunId(), subjectCustomer)
}

func validateWakeUp(customer string, run int64, subjectCustomer string) FieldErrors {
	errs := FieldErrors{}
	validateCustomer(errs, customer, subjectCustomer)
	if run < 0 {
		errs.Add("runId", "must not be negative; leave it out")
	}
	return errs
}

func validateCustomer(errs FieldErrors, id, subjectCustomer string) {
	switch {
	case id == "":
		errs.Add("customerId", "is missing")
	case !ValidCustomerID(id):
		errs.Add("customerId", customerIDRule)
	case id != subjectCustomer:
		errs.Add("customerId", "differs from the last token of the subject; the two must agree")
	}
}

func validateSecret(errs FieldErrors, field, value string, refuseClear bool) {
	switch {
	case value == "":
	case refuseClear:
		errs.Add(field, "is in the clear, and this installation takes sealed tokens only: seal it to the key that `rollcall key` prints")
	case len(value) > MaxTokenBytes:
		errs.Add(field, fmt.Sprintf("is longer than %d bytes", MaxTokenBytes))
	case strings.ContainsFunc(value, func(c rune) bool { return c <= ' ' || c > '~' }):
		errs.Add(field, "has spaces or characters that no token has; paste it again without line breaks")
	}
}
