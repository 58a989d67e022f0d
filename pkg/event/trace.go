package event

import (
	"crypto/rand"
	"encoding/hex"
)

// NewTraceID is a W3C traceparent of a trace that begins here.
func NewTraceID() string {
	var ids [24]byte
	_, _ = rand.Read(ids[:]) // never fails
	return "00-" + hex.EncodeToString(ids[:16]) + "-" + hex.EncodeToString(ids[16:]) + "-01"
}
