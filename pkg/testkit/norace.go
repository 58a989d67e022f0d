//go:build !race

package testkit

// raceEnabled says that the tests were built with -race, so programs are, too.
const raceEnabled = false
