// Package giving reconciles donations, gifts and contacts with Virtuous CRM+, customer by customer in the lane of giving.
//
// A category that is due for a customer is a row; its pass goes on where its progress says, and the row is deleted when the pass is
// complete. The package promises that an answer which is neither a gift nor a 404 changes no donation, and that each change and its row in
// the reconciliation log are one transaction. Gifts and contacts are applied by pkg/giving/inbound, as those of webhooks are. The report of
// a day is stored at the end of the day's run, whether or not Virtuous can be asked.
package giving
