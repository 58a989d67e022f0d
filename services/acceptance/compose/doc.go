// Package compose holds the test of docker-compose.yml on a real engine: the product is started as an operator
// does it, loses containers in mid-work, and comes back on its volumes. It stands behind the build tag `compose`,
// since it needs an engine and images: `make test/compose` runs it.
package compose
