package event

import (
	"slices"

	"rollcall.dev/pkg/bus"
	rollcallv1 "rollcall.dev/proto/rollcall/v1"
)

// TopicAll stands for every event and alert about a customer's lifecycle.
const TopicAll = "*"

// AlertTypes are the types of alerts that are published.
func AlertTypes() []string {
	types := []string{
		AlertDestinationDown, AlertDestinationRedirect, AlertDestinationUnclear, AlertDestinationNotPublic, AlertDestinationAuthFailed, AlertAuthFailed,
		AlertBackfillFailed, AlertVomoForbidden, AlertVomoRefusesMany, AlertPollStalled, AlertBackfillStalled, AlertReconcileStalled, AlertContactShared,
		AlertDeletionsHeld, AlertDLQAge, AlertDLQGrowth, AlertOutboxStalled, AlertAuditUnpartitioned, AlertMessageNotErased, AlertOnboardingLetter,
		AlertKeeperUnavailable, AlertEmailChanged, AlertEmailMismatch, AlertWritebackForbidden, AlertVirtuousAuthFailed, AlertVirtuousForbidden,
		AlertVirtuousRefusesMany, AlertGivingPendingAge, AlertWebhookSignatures, AlertImportNotRun, AlertWebhookSilent, AlertGiftDeletionsHeld,
		AlertWebhookOrphaned,
	}
	return append(types, GivingFigures()...)
}

// Topics are what an endpoint may ask for by name.
func Topics() []string { return slices.Concat(bus.LifecycleEvents(), AlertTypes(), bus.RecordEvents()) }

// NameRecords returns whether topics have an event about single records. TopicAll does not include these.
func NameRecords(topics []string) bool {
	return slices.ContainsFunc(topics, func(topic string) bool { return slices.Contains(bus.RecordEvents(), topic) })
}

// TopicsOfEvent returns the topics of endpoints that want an event.
func TopicsOfEvent(name string) []string {
	if slices.Contains(bus.LifecycleEvents(), name) {
		return []string{name, TopicAll}
	}
	return []string{name}
}

// TopicsOfAlert returns the topics of endpoints that want an alert; none for one about endpoints, which would be about itself. Alerts about one
// user, and those of the installation, are wanted by name alone.
func TopicsOfAlert(kind, customer string) []string {
	switch {
	case kind == AlertEndpointFailing:
		return nil
	case kind == AlertEmailChanged, kind == AlertEmailMismatch, customer == rollcallv1.Installation:
		return []string{kind}
	}
	return []string{kind, TopicAll}
}
