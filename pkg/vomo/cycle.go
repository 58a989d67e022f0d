package vomo

import (
	"crypto/sha256"
	"io"
	"slices"
)

// cycle finds out that pages come again, whatever the length of the round, without keeping them: it holds on to
// one page and compares all that follow with it, and takes a later one at 1, 2, 4, 8… pages (Brent's algorithm).
// So it finds every source that goes round for ever, and one that only shows a page twice in passing perhaps not.
type cycle struct {
	held    [sha256.Size]byte
	pages   int // since the held one
	renewAt int
}

// closes reports whether a page with these entries is the one held. A page without entries closes nothing.
func (c *cycle) closes(keys []string) bool {
	if len(keys) == 0 {
		return false
	}
	page := digest(keys)
	if c.renewAt > 0 && page == c.held {
		return true
	}
	if c.pages++; c.pages >= c.renewAt {
		c.held, c.pages, c.renewAt = page, 0, max(1, 2*c.renewAt)
	}
	return false
}

// digest is that of a set of entries: a source that shuffles a page shows the same one.
func digest(keys []string) [sha256.Size]byte {
	hash := sha256.New()
	for _, key := range slices.Sorted(slices.Values(keys)) {
		_, _ = io.WriteString(hash, key) // a hash never fails
		_, _ = hash.Write([]byte{0})     // no id holds it
	}
	return [sha256.Size]byte(hash.Sum(nil))
}
