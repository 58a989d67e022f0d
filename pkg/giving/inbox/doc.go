// Package inbox takes the parts of webhook deliveries from the stream into Postgres, and applies them.
//
// A part is stored before its message is settled, so that it can be applied again while the inbox keeps it. It promises that a part
// that comes twice is one row, that neither a broken record nor a part that cannot be applied stops the others, that both become letters, and that a
// record without its time is read from Virtuous before it is applied. Parts of a paused customer wait. A letter holds a part, mostly with one
// record: its retry publishes the part again.
package inbox
