package cli

import (
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// askedWindow puts into a request when its backfill may run. What the flags cannot hold is a matter of usage; what
// is wrong with the hours themselves is told with the rest of the request.
func askedWindow(request *rollcallv1.OnboardingRequest, asked onboarding) error {
	if asked.notBefore != "" {
		at, err := time.Parse(time.RFC3339, asked.notBefore)
		if err != nil {
			return usage("--not-before is no time such as 2026-11-20T22:00:00Z")
		}
		request.BackfillNotBefore = timestamppb.New(at)
	}
	if asked.quietHours == "" {
		if len(asked.quietDays) > 0 {
			return usage("--quiet-days needs --quiet-hours")
		}
		return nil
	}
	hours, zone, _ := strings.Cut(asked.quietHours, " ")
	from, to, _ := strings.Cut(hours, "-")
	request.QuietHours = &rollcallv1.QuietHours{From: from, To: to, Zone: strings.TrimSpace(zone), Weekdays: asked.quietDays}
	return nil
}
