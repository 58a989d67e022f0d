// Package dev is `rollcall dev`: everything that rollcall needs, started on one machine and kept in one folder.
//
// It owns the folder .rollcall and what runs out of it: a NATS server inside this process, a Postgres and every
// service as child processes, and a sandbox that stands in for VOMO and a CRM. It promises that a second start
// continues with the same data, that only one runs in a folder, that a child which ends is started again, that
// Ctrl-C ends everything in an order in which nothing is lost, and that nothing lingers when it is killed. With
// --demo it onboards a customer, compares source and destination record by record, and ends with the verdict.
//
// It is for trying out and for development: one machine, loopback addresses, made-up people. It does the same
// as `rollcall migrate` at each start, and nothing of it is meant for a real installation.
package dev
