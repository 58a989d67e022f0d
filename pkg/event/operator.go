package event

// Names of events that tell what operators did.
const (
	BackfillPaused    = "backfill.paused"
	BackfillResumed   = "backfill.resumed"
	BackfillCancelled = "backfill.cancelled"
	ConfigChanged     = "config.changed"
	CustomerPaused    = "customer.paused"
	CustomerResumed   = "customer.resumed"
)
