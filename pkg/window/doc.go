// Package window knows when a customer's backfill may read from VOMO: from a moment on, and outside of the
// customer's quiet hours.
//
// It owns the reading of quiet hours and the arithmetic of days, zones and their changes. It promises that hours
// are those that the customer's wall shows: a window that begins in an hour that is skipped begins when the clock
// has jumped over it, and one that lies in an hour that comes twice is kept twice. It knows the zones also where the
// machine has none. It asks no clock: whoever asks brings the time, and that is the database's.
package window
