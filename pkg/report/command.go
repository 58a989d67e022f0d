package report

// BackfillCommand asks rollcall.api.backfills.start, pause or cancel.
type BackfillCommand struct {
	CustomerID string `json:"customerId"`
	Rewrite    bool   `json:"rewrite,omitempty"` // start: write everybody again, also whose version is known
}

// What a command did.
const (
	BackfillStarted       = "started"
	BackfillResumed       = "resumed"
	BackfillPaused        = "paused"
	BackfillAlreadyPaused = "already_paused"
	BackfillCancelled     = "cancelled"
)

// BackfillCommanded is what it did, and the run as it stands now.
type BackfillCommanded struct {
	Action   string   `json:"action"`
	Backfill Backfill `json:"backfill"`
	// NotBackfilled: no backfill of this customer has ever been completed.
	NotBackfilled bool `json:"notBackfilled"`
	// RewriteUnfinished: not everybody who has to be written again has been.
	RewriteUnfinished bool `json:"rewriteUnfinished"`
}
