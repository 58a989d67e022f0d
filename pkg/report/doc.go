// Package report is the read side: what a customer or an operator may know, computed from the tables.
//
// It owns the shapes of the status and of the lists, as plain JSON in which every name is always there (null
// means not known yet), and those of what operators ask for. It promises to read only, and to show no secret and no
// person; a customer's own address for notices stands among its settings and nowhere else. It does not decide
// anything: what is unhealthy is decided here for the eye alone.
package report
