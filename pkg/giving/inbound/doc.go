// Package inbound applies gifts and contacts of Virtuous to a customer's tables: one function for webhooks and for reconciliations.
//
// A version of a record is its modified time and a keyed hash of its canonical fields. The package promises that the same records
// lead to the same tables in whatever order, and however often, they are applied; that a deletion is final unless Virtuous returns
// the gift later; that a donation is confirmed in the transaction that stores its gift, and a contact of the platform in the one that stores a contact
// with its reference; and that a merge moves the gifts, donations, platform contacts and references of a contact to the contact that remains. Records
// and their events are committed together. Events carry ids and names of fields.
//
// The package reads nothing from Virtuous. NeedsRead says which records the caller has to read first.
//
// # Limits
//
// A record of a reversal does not name the gift that it takes back: the reversal is stored as a gift of its own, and the other gift
// stays as it is. A reference that Virtuous no longer lists for a contact stays known.
package inbound
