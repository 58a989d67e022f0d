// Package record says what became of one record: a donation and its gift, a contact, or a user of VOMO. It puts every hop that is stored into one
// timeline, names the probable cause of its present state, and the next action.
//
// It promises that each state has exactly one cause, that each cause has its words in one table, and that nothing of a person is in a trace: only ids,
// times, codes and names of fields. Every look-up goes through an index, so a trace takes the same time whatever else the customer has.
//
// It requests nothing of Virtuous or VOMO, and changes nothing. The caller looks the record up, and hands over the answer.
package record
