// Package giving reconciles donations, gifts and contacts with Virtuous CRM+, customer by customer in the lane of giving.
//
// A category that is due for a customer is a row; its pass goes on where its progress says, and the row is deleted when the pass is
// complete. The package promises that an answer which is neither a gift nor a 404 changes no donation, that one which is neither a contact nor a 404
// changes no contact of the platform, and that each change and its row in the reconciliation log are one transaction. Gifts and contacts are
// applied by pkg/giving/inbound, as those of webhooks are. A gift is marked as
// deleted only if Virtuous neither lists it nor finds it by its id, and an unusual number of missing gifts waits for an operator. The report of a
// day is stored at the end of the day's run, whether or not Virtuous can be asked.
package giving
