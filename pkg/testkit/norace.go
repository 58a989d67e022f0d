//go:build !race

package testkit

// raceEnabled reports whether the tests were built with -race; programs are then built with it too.
const raceEnabled = false
