package rollcallv1

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Defaults and limits of a customer's settings for Virtuous.
const (
	DefaultNeedsReviewAfterHours = 72
	DefaultStuckAfterHours       = 24
	maxHours                     = 365 * 24
	maxSourceBytes               = 100
	maxURLBytes                  = 2048
	maxDefaultsBytes             = 8 << 10
)

// Names of the list of designations in a transaction. The vendor's documents disagree.
const (
	FieldDesignations     = "designations"
	FieldGiftDesignations = "giftDesignations"
)

// fieldDefaults is the name of the defaults in errors.
const fieldDefaults = "virtuous.defaults"

// MissingSource is the error text for a request that needs a transaction source and names none, if the installation has none either.
const MissingSource = "is missing: name the source under which Virtuous is to know the donations, or set VIRTUOUS_TRANSACTION_SOURCE"

// ownFields are fields of a transaction that come from the donation, so that no default may replace them.
func ownFields() []string {
	return []string{"transactionSource", "transactionId", "contact", "amount", "giftDate", FieldDesignations, FieldGiftDesignations}
}

// HasMirror reports whether a request as it arrived is about VOMO. A stored request has no token any more.
func (r *OnboardingRequest) HasMirror() bool {
	return r.GetVomoToken() != "" || r.GetVomoTokenSealed() != "" || r.GetVirtuous() == nil || !r.onlyGiving()
}

// onlyGiving reports whether no field of the request is about the mirror alone. The admin's address is of both sides.
func (r *OnboardingRequest) onlyGiving() bool {
	return r.onlyFields("customer_id", "virtuous", "admin_email")
}

func (r *OnboardingRequest) onlyFields(names ...protoreflect.Name) bool {
	only := true
	r.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		only = slices.Contains(names, field.Name())
		return only
	})
	return only
}

// KeyOnly reports whether the object sets only a key or a refresh token, and perhaps the webhook secret: it then replaces these of a customer whose
// giving is set up. It also works for stored requests, whose secrets were removed. Any field that a later version adds counts as
// a setting.
func (v *Virtuous) KeyOnly() bool {
	alone := true
	v.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		switch field.Name() {
		case "token", "token_sealed", "refresh_token", "refresh_token_sealed", "webhook_secret", "webhook_secret_sealed", "accept_other_organization":
		default:
			alone = false
		}
		return alone
	})
	return alone
}

// validate checks the side of Virtuous, if the request names it. Whether a transaction source is missing depends on the installation
// and on the customer: see MissingSource.
func (v *Virtuous) validate(errs FieldErrors, requireSealed bool) {
	if v == nil {
		return
	}
	if v.GetRemove() {
		v.validateRemoval(errs)
		return
	}
	v.validateCredential(errs)
	if v.GetWebhookSecret() != "" && v.GetWebhookSecretSealed() != "" {
		errs.Add("virtuous.webhookSecret", "is given twice: give either webhookSecret or webhookSecretSealed")
	}
	validateSecret(errs, "virtuous.token", v.GetToken(), requireSealed)
	validateSecret(errs, "virtuous.tokenSealed", v.GetTokenSealed(), false)
	validateSecret(errs, "virtuous.refreshToken", v.GetRefreshToken(), requireSealed)
	validateSecret(errs, "virtuous.refreshTokenSealed", v.GetRefreshTokenSealed(), false)
	validateSecret(errs, "virtuous.webhookSecret", v.GetWebhookSecret(), requireSealed)
	validateSecret(errs, "virtuous.webhookSecretSealed", v.GetWebhookSecretSealed(), false)
	v.ValidateSettings(errs)
}

// validateCredential checks that there is one credential: an API key, or a refresh token.
func (v *Virtuous) validateCredential(errs FieldErrors) {
	hasKey, hasRefresh := v.GetToken() != "" || v.GetTokenSealed() != "", v.GetRefreshToken() != "" || v.GetRefreshTokenSealed() != ""
	if hasKey && hasRefresh {
		errs.Add("virtuous.refreshToken", "is given beside an API key: give token alone for an API key, or refreshToken alone for OAuth; "+
			"rollcall obtains the access token itself")
		return
	}
	if !hasKey && !hasRefresh {
		errs.Add("virtuous.token", "is missing: give token or tokenSealed, or refreshToken or refreshTokenSealed for OAuth")
	}
	if v.GetToken() != "" && v.GetTokenSealed() != "" {
		errs.Add("virtuous.token", "is given twice: give either token or tokenSealed")
	}
	if v.GetRefreshToken() != "" && v.GetRefreshTokenSealed() != "" {
		errs.Add("virtuous.refreshToken", "is given twice: give either refreshToken or refreshTokenSealed")
	}
}

// ValidateSettings adds what is wrong with the settings, without the secrets.
func (v *Virtuous) ValidateSettings(errs FieldErrors) {
	if source := v.GetTransactionSource(); len(source) > maxSourceBytes || source != strings.TrimSpace(source) || strings.ContainsFunc(source, isControl) ||
		strings.Contains(source, "/") {
		errs.Add("virtuous.transactionSource", "must be 1 to "+strconv.Itoa(maxSourceBytes)+" bytes, without control characters, slashes, and spaces at its ends")
	}
	if field := v.GetDesignationsField(); field != "" && field != FieldDesignations && field != FieldGiftDesignations {
		errs.Add("virtuous.designationsField", "must be designations or giftDesignations, or left out")
	}
	review, stuck := v.GetNeedsReviewAfterHours(), v.GetStuckAfterHours()
	if review < 0 || review > maxHours {
		errs.Add("virtuous.needsReviewAfterHours", "must be 1 to "+strconv.Itoa(maxHours)+", or left out for 72")
	}
	if stuck < 0 || stuck > maxHours {
		errs.Add("virtuous.stuckAfterHours", "must be 1 to "+strconv.Itoa(maxHours)+", or left out for 24")
	}
	if orDefault(stuck, DefaultStuckAfterHours) > orDefault(review, DefaultNeedsReviewAfterHours) {
		errs.Add("virtuous.stuckAfterHours", "must not be more than needsReviewAfterHours")
	}
	if address := v.GetImportsUrl(); address != "" && !isWebAddress(address) {
		errs.Add("virtuous.importsUrl", "must be an address that begins with https: or http:")
	}
	if since := v.GetGiftsSince(); since != "" && !isPlausibleDate(since) {
		errs.Add("virtuous.giftsSince", "must be a date such as 2026-01-31")
	}
	v.validateDefaults(errs)
	v.GetResolution().validate(errs)
}

func (v *Virtuous) validateRemoval(errs FieldErrors) {
	alone := true
	v.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
		alone = field.Name() == "remove"
		return alone
	})
	if !alone {
		errs.Add("virtuous.remove", "must be the only field of virtuous")
	}
}

func (v *Virtuous) validateDefaults(errs FieldErrors) {
	for name := range v.GetDefaults().GetFields() {
		switch {
		case slices.ContainsFunc(ownFields(), func(own string) bool { return strings.EqualFold(own, name) }):
			errs.Add(fieldDefaults, "must not have "+strings.Join(ownFields(), ", ")+": they come from the donation")
		case !presentableName.MatchString(name):
			errs.Add(fieldDefaults, "must have names of letters only")
		default:
			continue
		}
		break
	}
	// The limit is for people's mistakes, so that the encoding's own spaces do not matter.
	if encoded, err := protojson.Marshal(v.GetDefaults()); err != nil || len(encoded) > maxDefaultsBytes {
		errs.Add(fieldDefaults, "must not be more than 8192 bytes")
	}
}

func orDefault(value, otherwise int32) int32 {
	if value == 0 {
		return otherwise
	}
	return value
}

func isControl(c rune) bool { return c < ' ' || c == 0x7f }

func isWebAddress(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && len(text) <= maxURLBytes && (parsed.Scheme == "https" || parsed.Scheme == "http") && parsed.Host != "" && parsed.User == nil
}

// isPlausibleDate rejects dates that can only be a mistake, as plausible does for moments.
func isPlausibleDate(text string) bool {
	return isDate(text) && text >= "2000" && text < "2100"
}
