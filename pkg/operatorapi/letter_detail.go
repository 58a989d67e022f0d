package operatorapi

import (
	"time"

	"rollcall.dev/pkg/destination"
)

// LetterQuestion asks for one letter.
type LetterQuestion struct {
	ID string `json:"id"` // or its first 8 characters or more
}

// LetterShown is what `rollcall dlq show` shows.
type LetterShown struct {
	LetterDetail

	DestinationVersion *DestinationVersion `json:"standing"` // null: none, or the version that was rejected
	// DestinationAnswer is what the destination said of the record; null if it said nothing, its key is gone, or the key
	// service does not answer. It may quote the person, so ls and export leave it out.
	DestinationAnswer *destination.Answer `json:"destinationAnswer"`
}

// LetterDetail has everything about one letter except the payload.
type LetterDetail struct {
	Letter

	OriginalSubject string          `json:"originalSubject"` // republished there, with its letter's id, it is retried
	Origin          *string         `json:"origin"`          // message letters: stream, its creation time, sequence
	TraceID         *string         `json:"traceId"`
	SourceUpdatedAt *time.Time      `json:"sourceUpdatedAt"` // record letters: the version that was rejected
	History         []LetterAttempt `json:"history"`         // the attempts after the first, oldest first
	HistoryLeftOut  int             `json:"historyLeftOut"`  // how many older ones are not shown
	SettledNote     *string         `json:"settledNote"`     // why it was discarded
	Reason          *string         `json:"reason"`          // what was wrong, if that can be said without quoting it
	HasPayload      bool            `json:"hasPayload"`      // a message's bytes are kept, sealed
	Retryable       bool            `json:"retryable"`       // rollcall dlq retry accepts it
	Text            string          `json:"text"`
	Remedy          string          `json:"remedy"`
}

// LetterAttempt is one attempt at a letter.
type LetterAttempt struct {
	At   time.Time `json:"at"`
	Code string    `json:"code"`
	Job  string    `json:"job"`
	// LetterID is the letter from which the message was published again for this attempt.
	LetterID string `json:"letterId,omitempty"`
}

// DestinationVersion is the version that the destination has, if it is not the letter's.
type DestinationVersion struct {
	SourceUpdatedAt time.Time `json:"sourceUpdatedAt"`
	SyncedAt        time.Time `json:"syncedAt"`
	// Compared is newer or older (than the letter's version), or other: of the same second, with other fields.
	Compared string `json:"compared"`
}

// LetterPayloadQuestion asks rollcall.api.letters.payload for one piece of a message's payload.
type LetterPayloadQuestion struct {
	ID      string `json:"id"`                // whole, as letters.show gives it
	Secrets bool   `json:"secrets,omitempty"` // with tokens and secrets in the clear, and bytes that are no JSON
	Offset  int    `json:"offset,omitempty"`  // the Next of the piece before
}

// LetterPayload is one piece of the payload. Next is null on the last.
type LetterPayload struct {
	Format string `json:"format"` // json or bytes
	Data   []byte `json:"data"`   // base64, of this piece
	Hidden int    `json:"hidden"` // how many values were replaced
	Next   *int   `json:"next"`
}

// Formats of a payload.
const (
	PayloadJSON  = "json"
	PayloadBytes = "bytes"
)
