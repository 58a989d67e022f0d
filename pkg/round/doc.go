// Package round works what is due for customers in rounds: the letters that dlqretry retries, the values that writeback writes to
// VOMO, the donations that are sent to Virtuous.
//
// It owns which customer is next, the claim of the customer's lane, the round's line in job_log, and what the end of a round leads
// to: how long the customer is held, and which alert is raised. It promises that a process gives a customer one round at a
// time, that customers take turns, so that neither thousands of due rows nor a destination that hangs hold up the others,
// that a round gives the lane to another job after the row in hand, and that a fault of another system holds the customer and
// is no failure of a row. After a restart it knows only the holds that a Kind leaves out of what it finds. It does not know what a
// row is, or how it is worked: a Kind does. A run, which has a cursor and a message, is worked by package job.
package round
