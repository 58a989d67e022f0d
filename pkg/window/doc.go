// Package window computes when a customer's backfill may read from VOMO: after its first allowed moment and outside
// the customer's quiet hours.
//
// It parses quiet hours and does the arithmetic of days, time zones and daylight saving. Quiet hours are local time
// in the customer's zone. If the hour in which they begin is skipped by daylight saving, they begin right after the
// skipped hour; if the hour comes twice, they apply twice. The zone database is embedded, so the machine needs none.
// The package reads no clock: the caller passes the time, and that is the database's.
package window
