package report

import "time"

// ResyncQuestion asks rollcall.api.users.resync to bring one user to the destination again.
type ResyncQuestion struct {
	CustomerID string `json:"customerId"`
	VomoID     string `json:"vomoId"`
}

// What became of a user that was asked for by its id.
const (
	ResyncWritten          = "written"           // the destination has VOMO's version now
	ResyncOlder            = "older"             // VOMO's version is older than the one that is known; nothing was written
	ResyncDestinationNewer = "destination_newer" // the destination says that it has a newer version, and kept it
	ResyncLetter           = "letter"            // it cannot be mirrored; a letter says why
	ResyncNotFound         = "not_found"         // VOMO has no such user, or hides it; nothing was deleted
)

// Resync is what became of it.
type Resync struct {
	CustomerID     string      `json:"customerId"`
	VomoID         string      `json:"vomoId"`
	Outcome        string      `json:"outcome"`
	UpdatedAt      *time.Time  `json:"updatedAt"`      // of VOMO's version
	KnownUpdatedAt *time.Time  `json:"knownUpdatedAt"` // of the version that was known before
	WasCurrent     bool        `json:"wasCurrent"`     // VOMO's version was the known one: it was sent again
	Letter         *OpenLetter `json:"letter"`
}

// OpenLetter is why a user does not stand in the destination in VOMO's version.
type OpenLetter struct {
	ID         string `json:"id"`
	ErrorCode  string `json:"errorCode"`
	ErrorClass string `json:"errorClass"` // retryable, permanent
}
