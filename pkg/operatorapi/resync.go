package operatorapi

import (
	"time"
)

// ResyncQuestion asks rollcall.api.users.resync to write one user to the destination again.
type ResyncQuestion struct {
	CustomerID string `json:"customerId"`
	VomoID     string `json:"vomoId"`
}

// Values of Resync.Outcome.
const (
	ResyncWritten          = "written"           // the destination has VOMO's version now
	ResyncOlder            = "older"             // VOMO's version is older than the mirrored one; nothing was written
	ResyncDestinationNewer = "destination_newer" // the destination says that it has a newer version, and kept it
	ResyncLetter           = "letter"            // it cannot be mirrored; a letter says why
	ResyncNotFound         = "not_found"         // VOMO has no such user, or hides it; nothing was deleted
)

// Resync is the result of a ResyncQuestion.
type Resync struct {
	CustomerID     string      `json:"customerId"`
	VomoID         string      `json:"vomoId"`
	Outcome        string      `json:"outcome"`
	UpdatedAt      *time.Time  `json:"updatedAt"`      // of VOMO's version
	KnownUpdatedAt *time.Time  `json:"knownUpdatedAt"` // of the version that was mirrored before
	WasCurrent     bool        `json:"wasCurrent"`     // VOMO's version was mirrored already: it was sent again
	Letter         *OpenLetter `json:"letter"`
}

// OpenLetter is the letter that says why the destination does not have VOMO's version.
type OpenLetter struct {
	ID         string `json:"id"`
	ErrorCode  string `json:"errorCode"`
	ErrorClass string `json:"errorClass"` // retryable, permanent
}
