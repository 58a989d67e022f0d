// Package testkit gives tests real servers and lets them wait without sleeps.
//
// It provides a NATS server with JetStream for each test (NATS), a Postgres database for each test (Database),
// rollcall's programs as child processes (Program), a clock that only the test moves (Clock), and signals from the
// code under test to the test (Signal). Everything that it starts ends with the test or the test process. If a
// program is missing on the machine, the test fails and says what to install.
//
// A package whose tests use a database or a program needs this TestMain:
//
//	func TestMain(m *testing.M) { testkit.Main(m) }
//
// testkit imports rollcall.dev/pkg/store, so the tests of store itself live in package store_test.
package testkit
