// Package browser tests the console as people use it: headless Chromium, with every service as a process on a real NATS and Postgres.
//
// `make test/e2e` runs it, with the tag e2e. It needs Chromium, which .ci/deps installs. Tests of single pages are beside the pages.
package browser
