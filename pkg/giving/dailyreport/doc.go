// Package dailyreport computes the daily report of a customer's giving: seven figures, each with its healthy value, whether an operator should
// look or act, and what to do.
//
// It promises that a report has every name, also if nothing happened, and that it has counts and times and no data of a donor.
package dailyreport
