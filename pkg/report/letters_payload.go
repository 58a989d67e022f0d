package report

// LetterPayloadQuestion asks rollcall.api.letters.payload for what a message held, piece by piece.
type LetterPayloadQuestion struct {
	ID      string `json:"id"`                // whole, as letters.show gives it
	Secrets bool   `json:"secrets,omitempty"` // with tokens and secrets in the clear, and bytes that are no JSON
	Offset  int    `json:"offset,omitempty"`  // the Next of the piece before
}

// LetterPayload is one piece of it; Next is null on the last.
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
