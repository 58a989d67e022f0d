// Package scan decides how a customer's whole set of users is read, so that nobody is missed while people come
// and go.
//
// VOMO pages by number. When somebody on a page that was read already is deleted, everybody behind moves up by
// one place, and whoever moves across the boundary of two pages is never shown: unchanged people too, whom no
// poll would ever find. Equal counts prove nothing, since the deleted one was counted and hides the missed one.
//
// So a scan goes in two phases. In the first it reads the list; when meta.total falls, it steps back as many
// pages as people may have moved, from the oldest page that was in flight. In the second it cuts the set by
// created_at into windows of at most 20 pages, asks VOMO how many there are in each (one request), and compares
// that with the distinct ids that it met there. A window that differs, in either direction, is halved, down to
// one page, which one answer shows whole; one that cannot be halved is read again until a reading agrees.
//
// The package owns the cursor's moves and nothing else: it reads no page and writes no record, and keeps what it
// saw in the store, so that memory does not grow with a customer. It promises that a scan ends, whatever VOMO
// says: what stepping back may cost, the readings of a window, and the windows that do not settle are bounded,
// and a scan that ended without agreement says so. What it cannot see, nobody can who reads pages: an addition
// and a deletion between the same two requests, which leave the count as it was, in the same window.
package scan
