// Package pages is the console's HTML: a page for each noun that operators work with, and a page for each customer.
//
// It promises that a page reads well without JavaScript, that its whole state is in its address, that a bad state comes with its reason, its start, one
// button and the same act as a command, and that a page of a customer's link shows that customer only. Statuses and lists are read from Postgres, so that
// the question "is it working?" is answered while other services are down; acts are asked of the services, as the operator's command does.
package pages
