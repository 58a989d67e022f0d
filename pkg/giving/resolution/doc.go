// Package resolution compares the two sides of a contact, the platform's and Virtuous', and decides field by field what is done about a
// difference.
//
// It promises that the same two sides, times and rules have the same result; that values which only look different are equal; and that a
// field which the two sides write in turn comes to rest. It reads and writes nothing: who calls it stores what it decides, writes to
// Virtuous, or tells the platform.
package resolution
