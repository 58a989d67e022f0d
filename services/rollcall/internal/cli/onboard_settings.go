package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"rollcall.dev/pkg/operatorapi"
	"rollcall.dev/pkg/operatorclient"
	"rollcall.dev/pkg/window"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// Words for settings that are left out.
const (
	noSetting        = "none"
	asInstallation   = "as the installation"
	oneByOne         = "one by one"
	defaultCadence   = 30 // minutes, where a request names none
	settingKept      = "given"
	settingOfRequest = "replaced by the given one"
)

// confirmReplacing shows which settings a request would change and asks for confirmation, because a full request replaces
// every setting, also with nothing. A request with only a token changes no setting, and is only for known customers.
func (a *app) confirmReplacing(ctx context.Context, on *link, request *rollcallv1.OnboardingRequest, force bool) error {
	customer := request.GetCustomerId()
	shown, err := ask[operatorapi.ConfigQuestion, operatorapi.Config](ctx, on, "config", "get", operatorapi.ConfigQuestion{CustomerID: customer})
	switch {
	case operatorclient.IsUnanswered(err):
		// The stream keeps the request until the service is back.
		sayf(a.log, "%v; which settings of %q the request changes could not be asked", err, customer)
		return nil
	case operatorclient.IsUnknown(err), err == nil && shown.OffboardedAt != nil:
		if request.TokenOnly() {
			return fmt.Errorf("customer %q is not mirrored: a token alone is for one who is; rollcall onboard needs --url too", customer)
		}
		return nil
	case err != nil:
		return customerError(customer, err)
	case request.TokenOnly():
		return nil
	}
	replaced, err := replacedBy(shown, request)
	if err != nil || len(replaced) == 0 {
		return err
	}
	sayf(a.log, "%s is known: the request replaces all of its settings, and so changes\n  %s", customer, strings.Join(replaced, "\n  "))
	switch {
	case force:
		return nil
	case !a.StdinTerminal:
		return usage("there is no terminal to ask on: --force publishes it all the same. Some settings, or the token, without the others: "+
			"rollcall config set %s", customer)
	}
	return a.confirmTyping(ctx, customer, "Is this meant?", "not published")
}

// replacedBy lists the settings that a full request removes or changes. Secrets are never shown, so the list cannot say
// whether a given secret is a new one.
func replacedBy(shown operatorapi.Config, request *rollcallv1.OnboardingRequest) ([]string, error) {
	quiet, err := askedHours(request)
	if err != nil {
		return nil, err
	}
	address, kind, batches, token := request.GetExternalSystemUrl(), "rest", oneByOne, noSetting
	hasFields, reads := request.GetDestination().GetParticipations(), request.GetParticipations()
	if target := request.GetDestination(); target != nil {
		address, kind = target.GetUrl(), target.GetKind()
		if target.GetBatchSize() != 0 {
			batches = strconv.Itoa(int(target.GetBatchSize()))
		}
		if target.GetToken()+target.GetTokenSealed() != "" {
			token = settingKept
		}
	}
	cadence := request.GetPollCadenceMinutes()
	if cadence == 0 {
		cadence = defaultCadence
	}
	perSecond, perMinute := request.OwnLimits()
	email := noSetting
	if request.GetAdminEmail() != "" {
		email = request.GetAdminEmail()
	}
	hadToken := noSetting
	if shown.HasDestinationAuth {
		hadToken = settingKept
	}
	var notBefore *time.Time
	if asked := request.GetBackfillNotBefore(); asked != nil {
		at := asked.AsTime().Truncate(time.Microsecond) // what is kept of it
		notBefore = &at
	}
	var replaced []string
	for _, one := range [][3]string{
		{"externalSystemUrl", shown.ExternalSystemURL, address},
		{"destination.kind", shown.DestinationKind, kind},
		{"destination.batchSize", setting(shown.BatchSize, oneByOne), batches},
		{"destination.participations", yesNo(&shown.HasParticipations), yesNo(&hasFields)},
		{"destination.token", hadToken, token},
		{"pollCadenceMinutes", strconv.Itoa(int(shown.PollCadenceMinutes)), strconv.Itoa(int(cadence))},
		{operatorapi.FieldAdminEmail, setting(shown.AdminEmail, noSetting), email},
		{operatorapi.FieldRequestsPerSecond, setting(shown.Limits.RequestsPerSecond, asInstallation), setting(perSecond, asInstallation)},
		{operatorapi.FieldRequestsPerMinute, setting(shown.Limits.RequestsPerMinute, asInstallation), setting(perMinute, asInstallation)},
		{"backfillNotBefore", shownMoment(shown.BackfillNotBefore), shownMoment(notBefore)},
		{"quietHours", shownHours(shown.QuietHours), shownHours(quiet)},
		{operatorapi.FieldWriteBack, shownWriteBack(shown.WriteBack), shownWriteBack(askedWriteBack(request))},
		{operatorapi.FieldParticipations, yesNo(&shown.Participations), yesNo(&reads)},
	} {
		if one[1] != one[2] {
			replaced = append(replaced, one[0]+": "+one[1]+" -> "+one[2])
		}
	}
	if len(replaced) > 0 && hadToken == settingKept && token == settingKept {
		replaced = append(replaced, "destination.token: "+settingOfRequest)
	}
	return replaced, nil
}

// askedHours returns the request's quiet hours in the stored form.
func askedHours(request *rollcallv1.OnboardingRequest) (*operatorapi.QuietHours, error) {
	hours, errs := window.Parse(request.GetQuietHours())
	if len(errs) > 0 {
		return nil, errs
	}
	encoded, err := hours.Encode()
	if err != nil || encoded == nil {
		return nil, err
	}
	kept := &operatorapi.QuietHours{}
	if err := json.Unmarshal(encoded, kept); err != nil {
		return nil, fmt.Errorf("read quiet hours: %w", err)
	}
	return kept, nil
}

// shownHours writes hours as --quiet-hours and --quiet-days take them.
func shownHours(hours *operatorapi.QuietHours) string {
	if hours == nil {
		return noSetting
	}
	text := hours.From + "-" + hours.To + " " + hours.Zone
	if len(hours.Weekdays) > 0 {
		text += " " + strings.Join(hours.Weekdays, ",")
	}
	return text
}

func shownMoment(at *time.Time) string {
	if at == nil {
		return noSetting
	}
	return at.UTC().Format(time.RFC3339Nano)
}
