package vomo

import (
	"crypto/sha256"
	"io"
	"slices"
)

// cycle detects that pages repeat, whatever the length of the cycle, without storing them: it keeps one page,
// compares all following pages with it, and replaces it after 1, 2, 4, 8… pages (Brent's algorithm). It detects every
// source that repeats for ever; it may miss a page that is merely shown twice.
type cycle struct {
	held    [sha256.Size]byte
	pages   int // since the kept page
	renewAt int
}

// closes reports whether a page with these entries is the kept one. A page without entries never is.
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

// digest returns the hash of a set of entries, independent of their order: a source that shuffles a page shows the
// same page.
func digest(keys []string) [sha256.Size]byte {
	hash := sha256.New()
	for _, key := range slices.Sorted(slices.Values(keys)) {
		_, _ = io.WriteString(hash, key) // a hash never fails
		_, _ = hash.Write([]byte{0})     // no id holds it
	}
	return [sha256.Size]byte(hash.Sum(nil))
}
