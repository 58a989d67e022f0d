// Package mappingarchive puts away the mappings of customers that have been inactive for long, and brings them back.
//
// It owns the form of an archive's parts: rows as JSON, compressed, and sealed with the customer's data key. It promises that
// a mapping is in the table or in the archive at each moment, whatever process dies when, and that no job writes a user of a
// customer before the whole mapping is back: both sides hold the customer's lane. It does not decide which columns there are.
package mappingarchive
