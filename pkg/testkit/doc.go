// Package testkit gives tests real parts and no sleeps.
//
// It owns, for tests alone: a NATS server with JetStream for each test (NATS), a Postgres database for each test
// (Database), programs of ours as child processes (Program), a clock that moves when told (Clock), and signals
// from the code under test to the test (Signal). It promises that what it started has ended when the test, or
// the test process, has; and that a part which is missing on the machine fails the test and says what to install.
//
// A package whose tests use a database or a program hands its tests over:
//
//	func TestMain(m *testing.M) { testkit.Main(m) }
//
// testkit imports rollcall.dev/pkg/store, so the tests of store itself live in package store_test.
package testkit
