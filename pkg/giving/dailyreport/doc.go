// Package dailyreport computes the daily report of a customer's giving: seven figures and the drift of contacts, each with its healthy value,
// whether an operator should look or act, and what to do. A figure that is unusual for the customer raises an alert.
//
// It promises that a report has every name, also if nothing happened, that it has counts and times and no data of a donor, and that the alerts
// of a customer are what its last stored report calls for: one for each figure at most. It decides nothing about a single donation.
package dailyreport
