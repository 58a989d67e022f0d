// Package operatoraudit says who did something, and what of a request may be kept in a row of operator_audit.
//
// It owns the rule that a row holds no secret and no personal data: numbers, yes and no, and the texts of known fields are
// kept if they look like ids or words; of every other text only the field's name is kept. It promises that a field which it
// does not know is hidden. It writes no row: services and the command do, with package store.
package operatoraudit
